"""Decoders that read a whole image in one native call, which a cancelled request does not await."""

from __future__ import annotations

import threading
from collections.abc import Callable

from PIL import Image

POLL_SECONDS = 0.02
LIMIT = 2  # calls at a time, also those of cancelled requests; bounds the memory
FORMATS = ("WEBP", "AVIF", "HEIF", "TIFF")  # Pillow's names
EXACT = ("WEBP", "TIFF")  # formats whose headers declare the true size
SHORT_PIXELS = 4_000_000  # decoded within milliseconds, so without a slot

_slots = threading.BoundedSemaphore(LIMIT)


def is_long(image: Image.Image) -> bool:
    """Whether decoding the file may take long in one native call."""
    is_short = image.format in EXACT and image.width * image.height <= SHORT_PIXELS
    return image.format in FORMATS and not is_short


def run(decode: Callable[[], object], check: Callable[[], None]) -> None:
    """Call `decode` in a thread, and `check` repeatedly until it has returned. Raises the errors of
    both.

    When `check` raises, the thread goes on to its end, which the checked image size bounds.
    """
    while not _slots.acquire(timeout=POLL_SECONDS):
        check()
    failures: list[BaseException] = []
    done = threading.Event()

    def call() -> None:
        try:
            decode()
        except BaseException as failure:  # raised again in the calling thread
            failures.append(failure)
        finally:
            _slots.release()
            done.set()

    threading.Thread(target=call, name="decoder", daemon=True).start()
    while not done.wait(POLL_SECONDS):
        check()
    if failures:
        raise failures[0]
