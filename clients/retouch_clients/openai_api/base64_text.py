"""Base64 text as clients send it: line breaks, both alphabets, optional padding.

The work is done in pieces, so that other threads can run in between."""

from __future__ import annotations

import base64
import binascii
import io

import orjson

PIECE = 192 << 10  # bytes, a multiple of 3 and of 4
SPACES = b" \t\r\n\f\v"
PLAIN = bytes.maketrans(b"-_", b"+/")  # from the URL-safe alphabet
LONGEST_ESCAPE = 6  # \u002b


def decode(raw: memoryview, escaped: bool) -> bytes:
    """The bytes of base64 text. `escaped`: the text is raw JSON and may have escapes.

    ValueError if the text is not base64."""
    result = io.BytesIO()  # its value is read without a copy
    rest = b""
    padded = False
    position = 0
    while position < len(raw):
        piece = bytes(raw[position : position + PIECE])
        if escaped and b"\\" in piece:
            piece = _whole_escapes(piece, last=position + PIECE >= len(raw))
            position += len(piece)
            piece = orjson.loads(b'"%b"' % piece).encode()
        else:
            position += len(piece)
            if escaped and piece != piece.translate(None, b"\r\n\t"):
                raise ValueError("a line break in JSON must be escaped")
        text = rest + piece.translate(PLAIN, SPACES)
        whole = len(text) // 4 * 4
        rest = text[whole:]
        if text and padded:
            raise ValueError("text follows the padding")
        padded = whole > 0 and text[whole - 1 : whole] == b"="
        result.write(_strict(text[:whole]))
    if rest:
        if padded:
            raise ValueError("text follows the padding")
        result.write(_strict(rest + b"=" * (4 - len(rest))))
    return result.getvalue()


def encode(file: bytes) -> str:
    """The base64 text of a file."""
    pieces = (file[begin : begin + PIECE] for begin in range(0, len(file), PIECE))
    return b"".join(map(base64.b64encode, pieces)).decode("ascii")


def _whole_escapes(piece: bytes, last: bool) -> bytes:
    """The piece without a trailing escape that continues in the next piece."""
    cut = piece.rfind(b"\\", len(piece) - LONGEST_ESCAPE + 1)
    return piece if last or cut <= 0 else piece[:cut]


def _strict(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
