"""JSON files of a checkpoint, which may be damaged or not fetched yet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# beginning of a file that git-lfs has not fetched yet
POINTER = b"version https://git-lfs.github.com/spec/"


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be exported. The message says why in one sentence."""


def read_json(path: Path, name: str) -> dict[str, Any]:
    """The object in a JSON file, with or without a byte-order mark; CheckpointError names the file
    `name`."""
    try:
        content = json.loads(decoded(path.read_bytes()))
        if isinstance(content, dict):
            return content
    except ValueError:
        if is_pointer(path):
            raise CheckpointError(
                f"{name} is a git-lfs pointer; run `git lfs pull` in the checkpoint"
            ) from None
    raise CheckpointError(f"{name} of the checkpoint is damaged; copy it again")


def decoded(content: bytes) -> str:
    """The text of a JSON file in UTF-8, UTF-16 or UTF-32, detected by its first bytes; ValueError
    for others."""
    return content.decode(json.detect_encoding(content))


def is_pointer(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(len(POINTER)) == POINTER
