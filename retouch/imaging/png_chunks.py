"""Chunks of PNG files. Only those that the image needs are decoded, because others may be
damaged."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# length of the body by chunk name
COLOUR_SIZES = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"cICP": 4}
NEEDED = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iCCP", b"eXIf", b"acTL", b"fcTL", b"fdAT"}
ANIMATION = {b"acTL", b"fcTL", b"fdAT"}
CRITICAL = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
MAX_ICC_BYTES = 8 << 20  # compressed; printer profiles have several megabytes


def needed_chunks(data: bytes) -> bytes:
    """The file without chunks that do not affect its pixels, such as text and XMP.

    Optional chunks with a wrong checksum or length are removed. Bytes that are no chunks stay, so
    that the decoder reports them.
    """
    kept = [SIGNATURE]
    end = len(SIGNATURE)
    is_still = False
    for kind, body, end in _chunks(data):
        is_still |= kind == b"acTL" and not _has_frames(body)
        if is_still and kind in ANIMATION:
            continue  # an animation without frames is a still image
        if kind in CRITICAL or (_is_needed(kind, body) and _is_sound(data, kind, body, end)):
            kept.append(data[end - len(body) - 12 : end])
        if kind == b"IEND":
            return b"".join(kept)
    return b"".join(kept) + data[end:]


def colour_chunks(data: bytes) -> dict[bytes, bytes]:
    """Bodies of the gAMA, cHRM, sRGB and cICP chunks that have a valid length and checksum."""
    chunks = {}
    for kind, body, end in _chunks(data):
        if kind == b"IDAT":
            break
        if COLOUR_SIZES.get(kind) == len(body) and _is_sound(data, kind, body, end):
            chunks.setdefault(kind, body)
    return chunks


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """Kind, body and end position of each complete chunk."""
    position = len(SIGNATURE)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind = data[position + 4 : position + 8]
        end = position + 12 + length
        if end > len(data) or not kind.isalpha():
            return
        yield kind, data[position + 8 : end - 4], end
        position = end


def _has_frames(animation: bytes) -> bool:
    """Whether an acTL chunk declares frames."""
    return len(animation) == 8 and animation[:4] != bytes(4)


def _is_needed(kind: bytes, body: bytes) -> bool:
    if kind in COLOUR_SIZES:
        return len(body) == COLOUR_SIZES[kind]
    return kind in NEEDED and len(body) <= MAX_ICC_BYTES


def _is_sound(data: bytes, kind: bytes, body: bytes, end: int) -> bool:
    return zlib.crc32(body, zlib.crc32(kind)) == int.from_bytes(data[end - 4 : end], "big")
