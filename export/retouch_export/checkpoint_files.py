"""The files of a checkpoint as they may be found: damaged, or not fetched yet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# how a file begins that git-lfs has not replaced yet
POINTER = b"version https://git-lfs.github.com/spec/"


class CheckpointError(RuntimeError):
    """A folder that is no checkpoint we can export: one sentence that says why."""


def read_json(path: Path, name: str) -> dict[str, Any]:
    """An object of a checkpoint's file `name`, with or without a byte-order mark;
    CheckpointError."""
    try:
        found = json.loads(decoded(path.read_bytes()))
        if isinstance(found, dict):
            return found
    except ValueError:
        if is_pointer(path):
            raise CheckpointError(
                f"{name} is a git-lfs pointer; run `git lfs pull` in the checkpoint"
            ) from None
    raise CheckpointError(f"{name} of the checkpoint is damaged; copy it again")


def decoded(content: bytes) -> str:
    """The text of a JSON file: UTF-8, or UTF-16 or UTF-32 as its first bytes show it; ValueError
    for another."""
    return content.decode(json.detect_encoding(content))


def is_pointer(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(len(POINTER)) == POINTER
