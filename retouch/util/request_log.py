"""Log lines of servers, which name the request that they are about."""

from __future__ import annotations

import contextlib
import logging
import secrets
import sys
from collections.abc import Iterator
from contextvars import ContextVar

PACKAGES = ("retouch", "retouch_clients")
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")


@contextlib.contextmanager
def request_id(name: str) -> Iterator[None]:
    """Name the request of the lines that this thread or task logs inside. An empty name keeps the
    one around it."""
    token = REQUEST_ID.set(name or REQUEST_ID.get())
    try:
        yield
    finally:
        REQUEST_ID.reset(token)


def new_request_id() -> str:
    return f"req_{secrets.token_hex(12)}"


class RequestFormatter(logging.Formatter):
    """The message, after the request's id in Triton's form where one is known, and `has_level`
    before that the level."""

    def __init__(self, has_level: bool = False):
        super().__init__()
        self._has_level = has_level

    def format(self, record: logging.LogRecord) -> str:
        level = f"{record.levelname.lower()}: " if self._has_level else ""
        name = REQUEST_ID.get()
        request = f"[request id: {name}] " if name else ""
        return f"{level}{request}{super().format(record)}"


def add_handler(handler: logging.Handler, level: int = logging.INFO) -> None:
    """Let `handler` have the lines of Retouch, in place of one of its class that has them
    already."""
    for package in PACKAGES:
        logger = logging.getLogger(package)
        for other in list(logger.handlers):
            if type(other) is type(handler):
                logger.removeHandler(other)
        logger.addHandler(handler)
        logger.setLevel(level)


def log_to_stderr() -> None:
    """For servers that are processes of their own."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RequestFormatter(has_level=True))
    add_handler(handler)
