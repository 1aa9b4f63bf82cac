"""The files of a repository that a family needs: settings, and weights of one format and variant.

Pickles, weights of other frameworks and other variants, and sample images are left out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from retouch_export.checkpoint import INDEX, Checkpoint
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.hub_snapshot import Snapshot
from retouch_export.validate import faults, networks
from retouch_export.weight_files import SUFFIX, weight_files

SUFFIXES = (".json", ".txt", ".model", ".jinja")  # of configs and tokenizers
SHARDS = ".index."  # in the name of an index
CALIBRATION = "calibration"
EXAMPLES = "examples.json"


def settings_paths(snapshot: Snapshot, checkpoint: Checkpoint) -> list[str]:
    """The paths of small files: model_index.json, configs, tokenizers, indexes of safetensors,
    calibration pairs and examples of instructions."""
    components = {*checkpoint.components, *checkpoint.pipeline.components}
    optional = {*checkpoint.pipeline.optional, CALIBRATION, EXAMPLES}
    return [
        path
        for path in snapshot.files
        if path == INDEX or _is_settings(path, components) or _top(path) in optional
    ]


def weight_paths(snapshot: Snapshot, settings: Iterable[str], variant: str | None) -> list[str]:
    """The paths of weights and their indexes, once the settings are in the cache; CheckpointError
    when settings are missing, or a component has no weights that can be read."""
    with tempfile.TemporaryDirectory(prefix="retouch-") as temporary:
        outline = Path(temporary)
        link(snapshot, settings, outline)
        for path in snapshot.files:
            place = outline / path
            if place.parent.is_dir() and not place.exists():
                place.touch()  # which files are chosen depends on names and indexes alone
        checkpoint = Checkpoint(outline, variant)
        for fault in faults(checkpoint, weights=False, hashed=False):
            raise CheckpointError(fault)
        return sorted(_weights(checkpoint))


def link(snapshot: Snapshot, paths: Iterable[str], folder: Path) -> None:
    """Make `folder` hold links to these files of the cache and to no others of a commit. Files that
    are no links stay, such as calibration pairs."""
    chosen = set(paths)
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() and path.relative_to(folder).as_posix() not in chosen:
            path.unlink()
    for path in chosen:
        place = folder / path
        target = (snapshot.folder / path).resolve()
        if place.is_symlink() and place.readlink() == target:
            continue
        if place.is_symlink() or not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)
            place.symlink_to(target)


def _is_settings(path: str, components: set[str]) -> bool:
    folder, _, name = path.rpartition("/")
    is_other_index = SHARDS in name and SUFFIX not in name
    return folder in components and name.endswith(SUFFIXES) and not is_other_index


def _top(path: str) -> str:
    return PurePosixPath(path).parts[0]


def _weights(checkpoint: Checkpoint) -> Iterator[str]:
    for name in networks(checkpoint):
        if (checkpoint.folder / name).is_dir():
            chosen = weight_files(checkpoint.folder / name, checkpoint.variant)
            for path in (chosen.index, *chosen.files):
                if path:
                    yield f"{name}/{path.name}"
