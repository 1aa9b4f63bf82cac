"""One export at a time in a repository: a lock on the folder, which the kernel releases when the
process ends."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

# errors of file systems that cannot lock a folder, such as some network ones
UNABLE = (errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


@contextlib.contextmanager
def locked(repository: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of the repository, which is made if it is missing. `say` gets a message when
    another export must end first.

    The lock leaves no file, and an empty folder is removed. A killed process releases it. OSError
    when the folder cannot be made or opened."""
    descriptor = _hold(repository, say)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # the folder is not empty
            repository.rmdir()
        os.close(descriptor)


def _hold(repository: Path, say: Callable[[str], None]) -> int:
    """The descriptor with the lock. Its earlier holder may have removed the folder, which is made
    again."""
    while True:
        repository.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(repository, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _take(descriptor, repository, say)
            if repository.is_dir() and os.path.samestat(os.fstat(descriptor), repository.stat()):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _take(descriptor: int, repository: Path, say: Callable[[str], None]) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(f"another export is writing to {repository}; waiting until it has ended")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as failure:
        if failure.errno not in UNABLE:
            raise
        say(f"{repository} is on a file system without locks; run no second export beside this one")
