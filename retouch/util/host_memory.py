"""Memory of the machine that programs can still allocate, by the kernel."""

from __future__ import annotations

import re
from pathlib import Path

MEMINFO = Path("/proc/meminfo")


def available_bytes(path: Path = MEMINFO) -> int | None:
    """The bytes; None if the kernel does not report them. The limit of a container is not known
    there."""
    try:
        text = path.read_text()
    except OSError:
        return None
    line = re.search(r"^MemAvailable: +(\d+) kB", text, re.MULTILINE)
    return int(line[1]) * 1024 if line else None
