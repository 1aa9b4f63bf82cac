"""Decoders that read a picture in one call end a request in time, and never run in a crowd."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from PIL import TiffImagePlugin, WebPImagePlugin

from pictures import file_of, scene
from retouch.api.errors import Cancelled, RequestError
from retouch.imaging import images, native_calls

HANG = 20  # seconds


class Held:
    """A decoder that returns when it is let go."""

    def __init__(self):
        self.started = threading.Event()
        self.go = threading.Event()

    def __call__(self):
        self.started.set()
        assert self.go.wait(HANG)


def leaving_after(started: threading.Event):
    def check():
        if started.is_set():
            raise Cancelled

    return check


def released() -> bool:
    """Whether every slot is free again."""
    taken = [native_calls._slots.acquire(timeout=HANG) for _ in range(native_calls.LIMIT)]
    for _ in range(sum(taken)):
        native_calls._slots.release()
    return all(taken)


def test_leaving_does_not_await_the_decoder():
    decode = Held()
    with pytest.raises(Cancelled):
        native_calls.run(decode, leaving_after(decode.started))
    assert not decode.go.is_set()
    decode.go.set()
    assert released()


@pytest.mark.parametrize(
    ("format", "plugin"),
    (("WEBP", WebPImagePlugin.WebPImageFile), ("TIFF", TiffImagePlugin.TiffImageFile)),
)
def test_leaving_while_a_file_is_decoded(monkeypatch, format, plugin):
    decode = Held()
    monkeypatch.setattr(native_calls, "SHORT_PIXELS", 0)
    monkeypatch.setattr(plugin, "load", lambda image: decode())
    with pytest.raises(Cancelled):
        images.decode_photo(file_of(scene(), format), check=leaving_after(decode.started))
    decode.go.set()
    assert released()


def test_no_more_than_the_limit_run_at_once():
    held = [Held() for _ in range(native_calls.LIMIT)]
    for decode in held:
        with pytest.raises(Cancelled):
            native_calls.run(decode, leaving_after(decode.started))
    third = Held()
    asked = threading.Event()

    def check():
        if asked.is_set():
            raise RequestError("late", "DEADLINE_EXCEEDED")
        asked.set()

    with pytest.raises(RequestError, match="late"):
        native_calls.run(third, check)
    assert not third.started.is_set()
    for decode in held:
        decode.go.set()
    assert released()


def test_small_files_wait_for_no_slot():
    held = [Held() for _ in range(native_calls.LIMIT)]
    for decode in held:
        with pytest.raises(Cancelled):
            native_calls.run(decode, leaving_after(decode.started))
    np.testing.assert_array_equal(images.decode(file_of(scene(), "WEBP", lossless=True)), scene())
    for decode in held:
        decode.go.set()
    assert released()


@pytest.mark.parametrize("failure", (OSError("broken"), MemoryError()))
def test_what_the_decoder_raises_is_raised(failure):
    def decode():
        raise failure

    with pytest.raises(type(failure)):
        native_calls.run(decode, lambda: None)
    assert released()


@pytest.mark.parametrize("format", ("WEBP", "TIFF", "AVIF"))
def test_a_broken_file_leaves_nothing_behind(format):
    file = file_of(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), format)
    for _ in range(native_calls.LIMIT + 1):
        with pytest.raises(RequestError):
            images.decode(file[: len(file) * 2 // 3])
    assert released()
