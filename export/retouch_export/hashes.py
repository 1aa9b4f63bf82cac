"""Hashes of a checkpoint's files that its folder contains, and their check.

There are three sources: a list of `sha256sum`, the notes of `hf download --local-dir` under
`.cache/huggingface`, and the cache of the Hugging Face Hub, where a file is a link to a blob named
by its hash. The Hub's hash is SHA-256 for files in git-lfs. For others it is git's own: the SHA-1
of "blob", the length and the content."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from retouch.artifacts import manifest
from retouch_export.checkpoint_files import CheckpointError

NOTES = Path(".cache", "huggingface", "download")
LIST = re.compile(r"sha256sums?(\.txt)?|.*\.sha256", re.IGNORECASE)
LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")
SHA256 = 64  # hexadecimal digits
GIT = 40  # hexadecimal digits


def carried(folder: Path) -> dict[str, str]:
    """The hashes in the folder by relative path of the file; CheckpointError when a list is
    damaged."""
    return dict(_linked(folder)) | dict(_noted(folder)) | dict(_listed(folder))


def wrong(folder: Path, names: dict[str, str]) -> Iterator[str]:
    """A sentence for every file that does not match its hash. Missing files are ignored."""
    for name, expected in sorted(names.items()):
        path = folder / name
        if path.is_file():
            actual = sha256(path) if len(expected) == SHA256 else _git(path)
            if actual != expected.lower():
                yield (
                    f"{name} is not the file that its hash describes "
                    f"({actual[:12]} is not {expected[:12]}); download it again"
                )


def sha256(path: Path) -> str:
    """The SHA-256 of a file, which is only read again when it has changed."""
    status = path.stat()
    return _sha256(path.resolve(), status.st_size, status.st_mtime_ns)


@cache
def _sha256(path: Path, size: int, changed: int) -> str:
    return manifest.sha256(path)


def _git(path: Path) -> str:
    content = path.read_bytes()  # small: large files are in git-lfs
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _listed(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.glob("*")):
        if path.is_file() and LIST.fullmatch(path.name):
            for line in filter(str.strip, path.read_text(errors="replace").splitlines()):
                match = LINE.fullmatch(line.strip())
                if not match:
                    raise CheckpointError(
                        f"{path.name} is damaged: a line is no SHA-256 and a file's name; "
                        "copy it again"
                    )
                yield match[2].removeprefix("./"), match[1].lower()


def _noted(folder: Path) -> Iterator[tuple[str, str]]:
    """Hashes in notes, of which the second line is the hash."""
    for path in sorted((folder / NOTES).rglob("*.metadata")):
        lines = path.read_text(errors="replace").splitlines()
        if len(lines) > 1 and _is_hash(lines[1]):
            yield (
                path.relative_to(folder / NOTES).as_posix().removesuffix(".metadata"),
                lines[1].lower(),
            )


def _linked(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        if (
            path.is_symlink()
            and (target := path.readlink()).parent.name == "blobs"
            and _is_hash(target.name)
        ):
            yield path.relative_to(folder).as_posix(), target.name


def _is_hash(text: str) -> bool:
    return len(text) in (SHA256, GIT) and re.fullmatch("[0-9a-f]+", text) is not None
