"""Markers of a JPEG file, read before it is decoded."""

from __future__ import annotations

import re

MAX_SCANS = 100  # cameras and web tools write at most a dozen; each takes a pass over the image
END = b"\xff\xd9"
# FF DA starts a scan; within coded data FF is followed by 00 or a restart marker
SCAN = re.compile(rb"\xff\xda")
PADDING = bytes(range(1, 97))  # decoded as coefficients if a scan is incomplete


def count_scans(data: bytes) -> int:
    """Number of scans in the file, including those of a thumbnail."""
    return len(SCAN.findall(data))


def without_end_marker(data: bytes) -> tuple[bytes, bytes]:
    """Two versions of a file without an end marker, which decode alike if nothing else is missing.

    Both have the marker. The second has bytes before it, which only an incomplete scan decodes.
    """
    body = data.rstrip(b"\xff")
    return body + END, body + PADDING + END
