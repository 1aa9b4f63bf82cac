"""Errors of an edit: what a client can act on, and the text that carries them.

tritonserver keeps the text of an error alone: in streams and in calls between models its code is
lost. So the text ends with a part for machines, in brackets:

    STEPS is 99; it must be from 0 to 50 [code=INVALID_ARGUMENT field=STEPS]

Examples are JSON texts with commas between, without brackets of their own.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, cast, get_args

Code = Literal[
    "INVALID_ARGUMENT",  # the request is wrong: `field` says where
    "INSTRUCTION_NOT_UNDERSTOOD",  # the sentence is none that the checkpoint can follow
    "DEADLINE_EXCEEDED",  # the deadline has passed, or cannot be met
    "UNAVAILABLE",  # the server is full, starting or stopping: the same request may succeed later
    "CANCELLED",  # the client has left
    "INTERNAL",  # the server failed; its log has the cause
]
CODES: tuple[Code, ...] = get_args(Code)

LONGEST = 1e8  # seconds of retry_after
FIELD_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
JSON_TEXT = r'"(?:[^"\\\[\]\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-f]{4}))*"'
ESCAPES = {"[": "\\u005b", "]": "\\u005d"}  # the last bracket of a text begins its last part
TEXT = re.compile(
    rf"(?P<message>.*) \[code=(?P<code>{'|'.join(CODES)})"
    rf"(?: field=(?P<field>{FIELD_NAME.pattern}))?"
    r"(?: retry_after=(?P<retry_after>\d{1,9}(?:\.\d{1,3})?))?"
    rf"(?: examples=(?P<examples>{JSON_TEXT}(?:,{JSON_TEXT})*))?\]",
    re.DOTALL | re.ASCII,
)


class RequestError(ValueError):
    """A request that cannot be served. `str()` is a sentence for people: what is wrong and what is
    allowed.

    `code` is one of CODES. `field` is the name of the input tensor that the error is about, None
    where it is about none. `retry_after` is in seconds, None where the server names no time.
    `examples` are values of the field that the server takes."""

    def __init__(
        self,
        message: str,
        code: Code = "INVALID_ARGUMENT",
        *,
        field: str | None = None,
        retry_after: float | None = None,
        examples: Sequence[str] = (),
    ):
        super().__init__(message)
        self.message = message
        self.code: Code = code
        self.field = field
        self.retry_after = retry_after
        self.examples = tuple(examples)

    def to_text(self) -> str:
        """The message and the part for machines; retry_after to a millisecond."""
        parts = [f"code={self.code}"]
        if self.field is not None:
            parts.append(f"field={self.field}")
        if self.retry_after is not None:
            seconds = min(max(self.retry_after, 0.0), LONGEST)
            parts.append(f"retry_after={seconds:.3f}".rstrip("0").rstrip("."))
        if self.examples:
            parts.append(f"examples={','.join(map(_json_text, self.examples))}")
        return f"{self.message} [{' '.join(parts)}]"

    @classmethod
    def from_text(cls, text: str) -> RequestError | None:
        """The other way round; None for a text that does not end with a part for machines."""
        match = TEXT.fullmatch(text)
        if match is None:
            return None
        retry_after = match["retry_after"]
        return cls(
            match["message"],
            cast(Code, match["code"]),
            field=match["field"],
            retry_after=None if retry_after is None else float(retry_after),
            examples=json.loads(f"[{match['examples'] or ''}]"),
        )

    def renamed(self, names: Mapping[str, str]) -> str:
        """The message with a client's own names in place of input tensors' names. Only a message
        that has a field names tensors."""
        if self.field is None:
            return self.message
        return re.sub(
            r"\b[A-Z][A-Z0-9_]*\b", lambda name: names.get(name[0], name[0]), self.message
        )


def _json_text(text: str) -> str:
    """A JSON text in ASCII without brackets."""
    return "".join(ESCAPES.get(sign, sign) for sign in json.dumps(text))


class Cancelled(Exception):
    """The client has left, so that the answer has no reader."""


@contextlib.contextmanager
def about(field: str) -> Iterator[None]:
    """RequestErrors inside that have no field get this one, if it is the name of one."""
    try:
        yield
    except RequestError as failure:
        if failure.field is None and FIELD_NAME.fullmatch(field):
            failure.field = field
        raise
