"""Draining: a stopping server takes no new edits and waits for the running ones.

tritonserver 2.51 refuses calls between its models as soon as it stops, which would end running
edits. So a file beside the lanes' load reports tells the endpoints first. A running edit holds a
shared lock on another file; the kernel releases it at any end of the process. No edit fails for a
file that cannot be made."""

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
    """Hold the lock of a running edit. RequestError UNAVAILABLE while the server drains."""
    lock = _open(path_of(LOCK))
    try:
        if lock is not None:
            fcntl.flock(lock, fcntl.LOCK_SH)
        check()  # with the lock held: an edit is refused, or drained
        yield
    finally:
        if lock is not None:
            os.close(lock)


def check() -> None:
    """RequestError UNAVAILABLE while the server drains."""
    if path_of(FLAG).exists():
        raise RequestError(
            "the server is stopping and takes no new edits; send the edit again later",
            "UNAVAILABLE",
        )


def begin(prefix: str) -> None:
    """Drain the server whose load reports have paths that begin with `prefix`."""
    with contextlib.suppress(OSError):
        Path(prefix + FLAG).touch(0o600)


def is_idle(prefix: str) -> bool:
    """Whether no edit runs on that server."""
    lock = _open(Path(prefix + LOCK))
    if lock is None:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def _open(path: Path) -> int | None:
    """A descriptor of the file; None where it cannot be opened."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
