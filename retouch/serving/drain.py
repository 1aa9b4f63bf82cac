"""Draining: a server that is to stop takes no new edits, and ends when the running ones have.

tritonserver 2.51 refuses calls between its models as soon as it stops, which would end running
edits too. So the edit models are told first, by a file beside the lanes' boards. Each running edit
holds a shared lock on another file; the kernel lets go of it however the edit's process ends. Files
that cannot be made never end an edit."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from retouch.api.errors import RequestError
from retouch.routing.load_board import path_of

FLAG = ".draining"
LOCK = ".edits"


@contextlib.contextmanager
def running_edit() -> Iterator[None]:
    """While an edit runs; RequestError with UNAVAILABLE when no new ones are taken."""
    lock = _opened(path_of(LOCK))
    try:
        if lock is not None:
            fcntl.flock(lock, fcntl.LOCK_SH)
        check()  # with the lock held: either the edit is refused, or it is waited for
        yield
    finally:
        if lock is not None:
            os.close(lock)


def check() -> None:
    """RequestError with UNAVAILABLE when no new edits are taken."""
    if path_of(FLAG).exists():
        raise RequestError(
            "the server is stopping and takes no new edits; send the edit again later",
            "UNAVAILABLE",
        )


def begin(boards: str) -> None:
    """Let the server whose boards begin with this path take no new edits."""
    with contextlib.suppress(OSError):
        Path(boards + FLAG).touch(0o600)


def is_idle(boards: str) -> bool:
    """Whether no edit runs there."""
    lock = _opened(Path(boards + LOCK))
    if lock is None:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def _opened(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
