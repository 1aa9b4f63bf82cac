"""Work on large images, a strip of rows at a time on several threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

STRIP = 128  # rows: wider numbers of a strip need little memory
THREADS = max(1, min(4, os.cpu_count() or 1))


def in_strips(work: Callable[[slice], None], rows: int) -> None:
    """Call `work` with the slice of every strip of an image with so many `rows`."""
    strips = [slice(top, min(rows, top + STRIP)) for top in range(0, rows, STRIP)]
    if len(strips) == 1:
        return work(strips[0])
    with ThreadPoolExecutor(THREADS, "strips") as threads:
        for _ in threads.map(work, strips):  # raises what `work` has raised
            pass
