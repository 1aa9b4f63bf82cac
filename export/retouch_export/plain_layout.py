"""A component's folder of links, in the layout that diffusers and transformers expect."""

from __future__ import annotations

import re
from pathlib import Path

from retouch_export.checkpoint_files import decoded
from retouch_export.weight_files import SUFFIX, WeightFiles, weight_files

MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")  # byte-order marks of UTF-8 and UTF-16
WEIGHTS = re.compile(r".*\.(safetensors(\.index(\.\w+)?\.json)?|bin(\.index\.json)?|pt|pth|ckpt)")


def link_plain(folder: Path, target: Path, variant: str | None) -> None:
    """Fill `target` with links to the files of `folder`, without the weights of other variants;
    CheckpointError."""
    has_weights = any(WEIGHTS.fullmatch(path.name) for path in folder.iterdir())
    target.mkdir(parents=True)
    for path in folder.iterdir():
        if path.suffix == ".json" and path.is_file() and path.read_bytes().startswith(MARKS):
            (target / path.name).write_text(decoded(path.read_bytes()), encoding="utf-8")
        elif not WEIGHTS.fullmatch(path.name):
            _link(path, target / path.name)
    if has_weights:
        _link_weights(weight_files(folder, variant), target)


def _link_weights(chosen: WeightFiles, target: Path) -> None:
    names = [path.name for path in (chosen.index, *chosen.files) if path]
    stem = names[0].partition(".")[0]
    if chosen.index is None:
        _link(chosen.files[0], target / f"{stem}{SUFFIX}")
        return
    index = target / f"{stem}{SUFFIX}.index.json"
    index.write_text(decoded(chosen.index.read_bytes()), encoding="utf-8")
    for path in chosen.files:
        _link(path, target / path.name)


def _link(path: Path, link: Path) -> None:
    link.symlink_to(path.resolve())
