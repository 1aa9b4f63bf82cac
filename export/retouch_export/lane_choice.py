"""The defaults of a lane that is exported, of three origins: the options of this export, what the
lane's manifest chose before, and what its adapter is known for. Imports no torch."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retouch.artifacts.manifest import ArtifactError, publish, read
from retouch_export.checkpoint import Checkpoint
from retouch_export.lane_defaults import SETTINGS, Chosen, applied, known_of, merged


def choice(before: Mapping[str, Any], checkpoint: Checkpoint, chosen: Chosen) -> Chosen:
    """The defaults of a lane, by the options' names. The options precede what was chosen `before`,
    and that precedes what the adapter is known for."""
    adapter = checkpoint.adapter
    known = known_of(adapter.file, checkpoint.family) if adapter else {}
    return merged({**known, **before}, chosen)


def with_defaults(
    settings: dict[str, Any], folder: Path, checkpoint: Checkpoint, sha256: str, chosen: Chosen
) -> dict[str, Any]:
    """The settings of the lane in `folder`, as its checkpoint has them, with its own defaults;
    ValueError for one that the family does not take."""
    before = _chosen_before(folder, checkpoint, sha256)
    return applied(checkpoint.family, settings, choice(before, checkpoint, chosen))


def redefine(
    folder: Path, settings: Mapping[str, Any], checkpoint: Checkpoint, chosen: Chosen
) -> Chosen:
    """Change the defaults of the lane in `folder`, and nothing else; returns what is chosen now.
    `settings` are those of the checkpoint. ArtifactError, ValueError."""
    manifest = read(folder)
    names = {"defaults", *SETTINGS.values()}
    kept = {name: value for name, value in manifest.settings.items() if name not in names}
    plain = kept | {name: settings[name] for name in names if name in settings}
    manifest.settings = with_defaults(plain, folder, checkpoint, manifest.checkpoint_sha256, chosen)
    with tempfile.TemporaryDirectory(dir=folder.parent) as empty:
        publish(Path(empty), folder, manifest)  # its files stay
    return manifest.settings.get("defaults", {})


def _chosen_before(folder: Path, checkpoint: Checkpoint, sha256: str) -> Mapping[str, Any]:
    """What the lane in `folder` had chosen, if it is of the same checkpoint and adapter."""
    try:
        manifest = read(folder)
    except ArtifactError:
        return {}
    adapter = checkpoint.adapter
    is_same = manifest.settings.get("adapter") == (adapter.about() if adapter else None)
    is_same = is_same and manifest.checkpoint_sha256 == sha256
    return manifest.settings.get("defaults", {}) if is_same else {}
