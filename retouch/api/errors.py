"""Errors of an edit: what a client can act on."""

from __future__ import annotations

from typing import Literal, get_args

Code = Literal[
    "INVALID_ARGUMENT",  # the request is wrong: `field` says where
    "DEADLINE_EXCEEDED",  # the deadline has passed, or cannot be met
    "UNAVAILABLE",  # the server is full, starting or stopping: the same request may succeed later
    "CANCELLED",  # the client has left
    "INTERNAL",  # the server failed; its log has the cause
]
CODES: tuple[Code, ...] = get_args(Code)


class RequestError(ValueError):
    """A request that cannot be served. `str()` is a sentence for people: what is wrong and what is
    allowed.

    `code` is one of CODES. `field` is the name of the input tensor that the error is about, None
    where it is about none. `retry_after` is in seconds, None where the server names no time."""

    def __init__(
        self,
        message: str,
        code: Code = "INVALID_ARGUMENT",
        *,
        field: str | None = None,
        retry_after: float | None = None,
    ):
        super().__init__(message)
        self.message = message
        self.code: Code = code
        self.field = field
        self.retry_after = retry_after


class Cancelled(Exception):
    """The client has left, so that the answer has no reader."""
