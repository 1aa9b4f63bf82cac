"""What the boxes of a HEIC or AVIF file say about its colours."""

from __future__ import annotations

import struct

KIND = b"colrnclx"
HEAD_BYTES = 1 << 20  # within which the boxes lie
UNSPECIFIED = 2  # of ITU-T H.273: as in a file that says nothing
SRGB = (1, 13)  # primaries and transfer


def colour_chunks(data: bytes) -> dict[bytes, bytes]:
    """A PNG's cICP chunk that says the same of the decoded picture; empty where the file says
    nothing."""
    place = data.find(KIND, 0, HEAD_BYTES) + len(KIND)
    if place < len(KIND) or place + 4 > len(data):
        return {}
    pair = struct.unpack_from(">2H", data, place)
    codes = [default if code == UNSPECIFIED else code for code, default in zip(pair, SRGB)]
    # the decoder has made RGB of full range already
    return {b"cICP": bytes((*(min(code, 255) for code in codes), 0, 1))}
