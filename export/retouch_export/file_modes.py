"""Modes of what an export makes: those of the folder around it, whatever the umask of the one who
exported."""

from __future__ import annotations

import contextlib
from pathlib import Path

FOLDER = 0o2777
FILE = 0o666  # what is taken over: a folder hands on its group by the first bit


def make_like_parent(folder: Path) -> None:
    """Make the folder, and those above it that are missing, each with its parent's permissions; one
    that is there stays."""
    if folder.is_dir():
        return
    make_like_parent(folder.parent)
    folder.mkdir(exist_ok=True)
    _change(folder, folder.parent.stat().st_mode & FOLDER)


def share(staging: Path, folder: Path) -> None:
    """Let whoever may read `folder` read the files of `staging`, which are about to be moved
    there."""
    for path in staging.iterdir():
        share_file(path, folder)


def share_file(path: Path, folder: Path) -> None:
    """Give a file the permissions to read and write that `folder` has."""
    _change(path, folder.stat().st_mode & FILE)


def _change(path: Path, mode: int) -> None:
    with contextlib.suppress(OSError):  # a file system without modes
        path.chmod(mode)
