"""Decoders that read a whole picture in one call, of which a request need not await the end."""

from __future__ import annotations

import threading
from collections.abc import Callable

from PIL import Image

POLL_SECONDS = 0.02
# at a time, those included that nobody awaits any longer: so many pictures of the largest size may
# be in memory
LIMIT = 2
FORMATS = ("WEBP", "AVIF", "HEIF", "TIFF")  # as Pillow names them

EXACT = ("WEBP", "TIFF")  # whose sizes are those that the file declares
SHORT_PIXELS = 4_000_000  # which take a moment: such files wait for no slot

_slots = threading.BoundedSemaphore(LIMIT)


def is_long(image: Image.Image) -> bool:
    """Whether the file, of which nothing is decoded yet, may take longer than a moment in one
    call."""
    is_short = image.format in EXACT and image.width * image.height <= SHORT_PIXELS
    return image.format in FORMATS and not is_short


def run(decode: Callable[[], object], check: Callable[[], None]) -> None:
    """Call `decode` in a thread, and `check` until it has returned; whatever either raises.

    When `check` raises, the thread ends by itself: its picture has been found small enough before.
    """
    while not _slots.acquire(timeout=POLL_SECONDS):
        check()
    failures: list[BaseException] = []
    done = threading.Event()

    def call() -> None:
        try:
            decode()
        except BaseException as failure:  # raised where it is awaited
            failures.append(failure)
        finally:
            _slots.release()
            done.set()

    threading.Thread(target=call, name="decoder", daemon=True).start()
    while not done.wait(POLL_SECONDS):
        check()
    if failures:
        raise failures[0]
