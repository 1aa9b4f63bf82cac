"""Suppression of the warnings and progress bars of torch, diffusers and transformers. Errors are
still raised."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator

import diffusers.utils.logging
import transformers.utils.logging


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress warnings and progress bars within a `with` block."""
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)
