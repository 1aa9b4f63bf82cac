"""What a JPEG file's markers say before anything is decoded."""

from __future__ import annotations

import re

MAX_SCANS = 100  # cameras and web tools write at most a dozen; each costs a pass over the picture
END = b"\xff\xd9"
# FF DA starts a scan; within coded data FF is followed by 00 or a restart marker
SCAN = re.compile(rb"\xff\xda")
PADDING = bytes(range(1, 97))  # decoded as coefficients where a scan is not complete


def count_scans(data: bytes) -> int:
    """Scans of the file; those of a thumbnail in its head are counted as well."""
    return len(SCAN.findall(data))


def without_end_marker(data: bytes) -> tuple[bytes, bytes]:
    """Two files with an end marker, for a file that lacks one: they decode alike if it lacks
    nothing else.

    The second has bytes before its marker, which count only where a scan waits for more.
    """
    body = data.rstrip(b"\xff")
    return body + END, body + PADDING + END
