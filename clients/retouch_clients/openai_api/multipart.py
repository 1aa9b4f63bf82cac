"""Parse a multipart body strictly while it arrives: the closing boundary is required."""

from __future__ import annotations

import asyncio
import io
import logging
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import parse_options_header

from retouch_clients.openai_api.errors import ApiError, invalid

MOST_PARTS = 64
MOST_HEADER = 8 << 10  # bytes of a header line of a part
MOST_HEADERS = 16
MOST_PREAMBLE = 64 << 10  # bytes before the first boundary
LONGEST_BOUNDARY = 70  # as RFC 2046 allows
SLICE = 32 << 10  # bytes parsed before other requests get a turn

logging.getLogger("python_multipart").setLevel(logging.ERROR)  # its warnings become responses


@dataclass
class Part:
    """A field of a form. `is_file`: it has a filename."""

    name: str = ""
    is_file: bool = False
    data: io.BytesIO = field(default_factory=io.BytesIO)  # its value is read without a copy


async def parts_of(content_type: str, stream: AsyncIterator[bytes]) -> list[Part]:
    """The parts in order; ApiError 400 if the body is not a complete multipart form."""
    reader = _Reader(_boundary_of(content_type))
    async for chunk in stream:
        for begin in range(0, len(chunk), SLICE):
            reader.feed(chunk[begin : begin + SLICE])
            await asyncio.sleep(0)
    return reader.finish()


def _boundary_of(content_type: str) -> bytes:
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not boundary:
        raise _malformed("its Content-Type has no boundary")
    if len(boundary) > LONGEST_BOUNDARY:
        raise _malformed(f"its boundary is longer than {LONGEST_BOUNDARY} characters")
    return boundary


class _Reader:
    def __init__(self, boundary: bytes):
        self._first = re.compile(rb"(?:(?<=\n)|\A)--" + re.escape(boundary) + rb"(?=\r\n|--)")
        self._delimiter = b"\r\n--" + boundary
        self._delimiters = 0
        self._preamble: bytearray | None = bytearray()
        self._parts: list[Part] = []
        self._headers: dict[bytes, bytes] = {}
        self._name = bytearray()
        self._value = bytearray()
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_part_data": self._data,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_end,
                "on_end": self._end,
            },
            max_header_count=MOST_HEADERS,
            max_header_size=MOST_HEADER,
        )

    def feed(self, chunk: bytes) -> None:
        if self._ended:
            return  # ignore the epilogue
        if self._preamble is not None:
            chunk = self._after_preamble(self._preamble, chunk)
        self._delimiters += chunk.count(self._delimiter)
        if self._delimiters > 2 * MOST_PARTS:  # false boundaries cost time
            raise _malformed("its boundary occurs within its parts")
        try:
            self._parser.write(chunk)
        except (MultipartParseError, FormParserError):
            raise _malformed("a boundary or a part's header is malformed") from None

    def finish(self) -> list[Part]:
        if not self._ended:
            raise _malformed("it ends before its closing boundary")
        return self._parts

    def _after_preamble(self, preamble: bytearray, chunk: bytes) -> bytes:
        """The bytes after the preamble; empty before the first boundary."""
        preamble += chunk
        first = self._first.search(preamble)
        if first:
            rest = bytes(preamble[first.start() :])
            self._preamble = None
            return rest
        if len(preamble) > MOST_PREAMBLE:
            raise _malformed("its first boundary is missing")
        return b""

    def _begin(self) -> None:
        if len(self._parts) == MOST_PARTS:
            raise _malformed(f"it has more than {MOST_PARTS} parts")
        self._parts.append(Part())
        self._headers = {}

    def _data(self, data: bytes, begin: int, end: int) -> None:
        self._parts[-1].data.write(memoryview(data)[begin:end])

    def _header_name(self, data: bytes, begin: int, end: int) -> None:
        self._name += data[begin:end]

    def _header_value(self, data: bytes, begin: int, end: int) -> None:
        self._value += data[begin:end]

    def _header_end(self) -> None:
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _headers_end(self) -> None:
        kind, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if kind != b"form-data" or b"name" not in options:
            raise _malformed("a part has no name")
        if self._headers.get(b"content-transfer-encoding", b"binary").strip().lower() not in (
            b"binary",
            b"8bit",
            b"7bit",
        ):
            raise _malformed("a part has a transfer encoding; send raw bytes")
        self._parts[-1].name = options[b"name"].decode("utf-8", "replace")
        self._parts[-1].is_file = b"filename" in options

    def _end(self) -> None:
        self._ended = True


def _malformed(reason: str) -> ApiError:
    return invalid(f"The body is not a complete multipart form: {reason}.", None, "invalid_body")
