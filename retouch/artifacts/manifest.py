"""The manifest of exported artifacts: their origin, and the SHA-256 of every file."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

NAME = "manifest.json"
FLOAT32 = "float32"


class ArtifactError(RuntimeError):
    """An artifact that must not be used. The message says in one sentence which and why."""


@dataclass
class Manifest:
    """The origin and content of a folder of artifacts.

    `checkpoint_sha256` is that of the source checkpoint. `precision` is the lane. `arithmetic` is
    the number formats of its graphs, FLOAT32 for graphs that need no lowering. `files` maps a file
    name to its SHA-256, and `weights` a number format to the bytes of its weights. `settings` are
    the stage's. `plans` maps a graph to the fields of its `tensorrt_plan.PlanInfo`. `versions` are
    those of the tools, and `sources` digests of the modules, that made the files. `origin` is the
    repository of the Hugging Face Hub and the commit, as ORG/NAME@COMMIT, if the checkpoint is
    from there."""

    family: str
    checkpoint_sha256: str
    precision: str
    arithmetic: str
    opset: int
    versions: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    plans: dict[str, dict[str, Any]] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    origin: str = ""


def read(folder: Path) -> Manifest:
    """The manifest of a folder; ArtifactError when it is missing or damaged."""
    path = Path(folder) / NAME
    if not path.is_file():
        raise ArtifactError(f"{_place(folder)} has no {NAME}; run the export first")
    try:
        return Manifest(**json.loads(path.read_text()))
    except (ValueError, TypeError):
        raise ArtifactError(
            f"{NAME} of {_place(folder)} is damaged; run the export again"
        ) from None


def verify(folder: Path, *files: str) -> Manifest:
    """The manifest, after checking that `files` (default: all) are unchanged; ArtifactError."""
    manifest = read(folder)
    for name in files or manifest.files:
        expected = manifest.files.get(name)
        path = Path(folder) / name
        if expected is None:
            raise ArtifactError(
                f"{NAME} of {_place(folder)} does not list {name}; run the export again"
            )
        if not path.is_file():
            raise ArtifactError(
                f"{_place(folder)} lacks {name} of its {NAME}; run the export again"
            )
        if sha256(path) != expected:
            raise ArtifactError(
                f"{name} of {_place(folder)} is not the file its {NAME} describes (cut short, "
                "changed or of another export); run the export again"
            )
    return manifest


def publish(staging: Path, folder: Path, manifest: Manifest) -> None:
    """Move all files of `staging`, a folder on the same disk, into `folder` and add them to
    `manifest`.

    Files that `manifest` lists already are kept. Other files of an earlier manifest are removed.
    The old manifest is removed first and the new one written last, so an interrupted export leaves
    no manifest."""
    before = _listed(folder)
    moved = [path.name for path in sorted(staging.iterdir())]
    manifest.files |= {name: sha256(staging / name) for name in moved}
    (staging / NAME).write_text(json.dumps(asdict(manifest), indent=2) + "\n")
    _readable_as(folder.parent, folder, *(staging / name for name in (*moved, NAME)))
    (folder / NAME).unlink(missing_ok=True)
    for name in moved:
        os.replace(staging / name, folder / name)
    os.replace(staging / NAME, folder / NAME)
    for name in before - manifest.files.keys():
        (folder / name).unlink(missing_ok=True)


def _readable_as(model: Path, *paths: Path) -> None:
    """Give the paths the read and write modes of the model's folder, whatever the umask."""
    mode = model.stat().st_mode
    for path in paths:
        with contextlib.suppress(OSError):  # another user's folder stays as it is
            path.chmod(mode & 0o777 if path.is_dir() else mode & 0o666)


def _listed(folder: Path) -> set[str]:
    """Names of the files in the folder's manifest; empty when it is missing or damaged. Paths to
    other folders are ignored."""
    try:
        return {name for name in read(folder).files if Path(name).name == name}
    except ArtifactError:
        return set()


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _place(folder: Path) -> str:
    """The last two parts of a folder's path, such as `vl_parser/1`."""
    return "/".join(Path(folder).parts[-2:])
