"""Colour information in the boxes of a HEIC or AVIF file."""

from __future__ import annotations

import struct

KIND = b"colrnclx"
HEAD_BYTES = 1 << 20  # the boxes lie in this part of the file
UNSPECIFIED = 2  # in ITU-T H.273
SRGB = (1, 13)  # primaries and transfer


def colour_chunks(data: bytes) -> dict[bytes, bytes]:
    """The same information as a PNG's cICP chunk; empty when the file has none."""
    place = data.find(KIND, 0, HEAD_BYTES) + len(KIND)
    if place < len(KIND) or place + 4 > len(data):
        return {}
    pair = struct.unpack_from(">2H", data, place)
    codes = [default if code == UNSPECIFIED else code for code, default in zip(pair, SRGB)]
    # the decoder returns full-range RGB
    return {b"cICP": bytes((*(min(code, 255) for code in codes), 0, 1))}
