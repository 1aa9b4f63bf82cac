"""The outline of a JSON body: count its values and set long strings aside before decoding."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field

import orjson

from retouch_clients.openai_api.errors import ApiError, invalid, unknown_parameter

MOST_PLAIN = 64 << 10  # bytes outside strings
MOST_QUOTES = 16_384  # including those inside strings
MOST_STRINGS = 1024
MOST_VALUES = 512
MOST_DEPTH = 8
MOST_NAMES = 64  # of the top-level object
LONG = 8 << 10  # bytes; longer strings can only be images
LONGEST_NAME = 256
BACKSLASHES = 4096  # counted before a quote at most
STRUCTURE = re.compile(rb"[\[\]{},:]")


@dataclass(frozen=True)
class LongText:
    """The raw bytes between a long string's quotes, with JSON escapes."""

    raw: memoryview


@dataclass
class Outline:
    """The body with tokens in place of long strings, and these strings by token."""

    text: bytes = b""
    long: dict[str, LongText] = field(default_factory=dict)


def outline(body: bytes | bytearray, known: Collection[str]) -> Outline:
    """Outline the body in one pass.

    ApiError for too many or too deeply nested values, or a name that is not `known`."""
    return _Reader(body, known).outline()


class _Reader:
    def __init__(self, body: bytes | bytearray, known: Collection[str]):
        self._body = body
        self._view = memoryview(body)
        self._known = known
        self._depth = 0
        self._values = 0
        self._plain = 0
        self._quotes = 0
        self._strings = 0
        self._names = 0

    def outline(self) -> Outline:
        pieces: list[bytes | memoryview] = []
        result = Outline()
        mark = secrets.token_hex(8)
        position = 0
        while (begin := self._string_after(position)) >= 0:
            end = self._end_of_string(begin)
            self._check_name(begin, end)
            if end - begin > LONG:
                token = f"{mark}-{len(result.long)}"
                result.long[token] = LongText(self._view[begin:end])
                pieces += [self._view[position:begin], token.encode(), b'"']
            else:
                pieces.append(self._view[position : end + 1])
            position = end + 1
        pieces.append(self._view[position:])
        result.text = b"".join(pieces)
        return result

    def _string_after(self, position: int) -> int:
        """The start of the next string's text, or -1. Counts the structure before it."""
        allowed = MOST_PLAIN - self._plain
        quote = self._body.find(b'"', position, position + allowed + 1)
        end = quote if quote >= 0 else len(self._body)
        self._plain += end - position
        if self._plain > MOST_PLAIN:
            raise _over_limit(f"at most {MOST_PLAIN >> 10} KiB outside strings are allowed")
        for match in STRUCTURE.finditer(self._view[position:end]):
            self._count(match[0])
        return quote + 1 if quote >= 0 else -1

    def _count(self, token: bytes) -> None:
        if token in b"[{":
            self._depth += 1
        elif token in b"]}":
            self._depth -= 1
        self._values += token in b",[{"
        if self._depth > MOST_DEPTH:
            raise _over_limit(f"values may be nested at most {MOST_DEPTH} deep")
        if self._values > MOST_VALUES:
            raise _over_limit(f"at most {MOST_VALUES} values are allowed")

    def _end_of_string(self, begin: int) -> int:
        self._strings += 1
        position = begin
        while True:
            quote = self._body.find(b'"', position)
            self._quotes += 1
            if quote < 0:
                raise invalid(
                    "The body is not valid JSON: a string is not terminated.", None, "invalid_json"
                )
            if self._quotes > MOST_QUOTES or self._strings > MOST_STRINGS:
                raise _over_limit("it has too many strings or quotes")
            before = bytes(self._view[max(begin, quote - BACKSLASHES) : quote])
            escapes = len(before) - len(before.rstrip(b"\\"))
            if escapes == BACKSLASHES:
                raise _over_limit("a string has too many backslashes")
            if escapes % 2 == 0:
                return quote
            position = quote + 1

    def _check_name(self, begin: int, end: int) -> None:
        if self._depth != 1 or bytes(self._view[end + 1 : end + 65]).lstrip()[:1] != b":":
            return
        self._names += 1
        if self._names > MOST_NAMES:
            raise _over_limit(f"at most {MOST_NAMES} parameters are allowed")
        if end - begin > LONGEST_NAME:
            raise unknown_parameter(
                bytes(self._view[begin : begin + 64]).decode("utf-8", "replace")
            )
        try:
            name = orjson.loads(self._view[begin - 1 : end + 1])
        except orjson.JSONDecodeError:
            raise invalid("The body is not valid JSON.", None, "invalid_json") from None
        if name.partition("[")[0] not in self._known:
            raise unknown_parameter(name)


def _over_limit(reason: str) -> ApiError:
    return invalid(f"The body exceeds a limit: {reason}.", None, "invalid_body")
