"""Modes of exported files and folders: those of the surrounding folder, whatever the umask."""

from __future__ import annotations

import contextlib
from pathlib import Path

FOLDER = 0o2777
FILE = 0o666  # copied bits of the mode; the first bit of FOLDER passes the group on


def make_like_parent(folder: Path) -> None:
    """Make the folder and its missing parents with the permissions of their parents. An existing
    folder is not changed."""
    if folder.is_dir():
        return
    make_like_parent(folder.parent)
    folder.mkdir(exist_ok=True)
    _change(folder, folder.parent.stat().st_mode & FOLDER)


def share(staging: Path, folder: Path) -> None:
    """Give the files of `staging` the permissions of `folder`, before they are moved there."""
    for path in staging.iterdir():
        share_file(path, folder)


def share_file(path: Path, folder: Path) -> None:
    """Give a file the read and write permissions of `folder`."""
    _change(path, folder.stat().st_mode & FILE)


def _change(path: Path, mode: int) -> None:
    with contextlib.suppress(OSError):  # a file system without modes
        path.chmod(mode)
