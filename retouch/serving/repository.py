"""The checkpoint behind a model repository, by the manifests of its lanes."""

from __future__ import annotations

from pathlib import Path

from retouch.api.version import VERSION
from retouch.artifacts.manifest import Manifest, read
from retouch.families.base import Family
from retouch.families.registry import family_of


def lane_manifest(repository: Path) -> Manifest | None:
    """The manifest of an exported lane: all lanes are of one checkpoint. None without a lane."""
    manifests = sorted(Path(repository).glob("denoiser_*/1/manifest.json"))
    return read(manifests[0].parent) if manifests else None


def family(repository: Path) -> Family:
    """The family of the checkpoint; ArtifactError, ValueError."""
    manifest = lane_manifest(repository)
    if manifest is None:
        raise ValueError("no lane is exported; run the export first")
    return family_of(manifest.family, manifest.settings)


def versions(repository: Path) -> dict[str, str]:
    """The versions of this package and, if a lane is exported, of its checkpoint."""
    manifest = lane_manifest(repository)
    checkpoint = (
        {}
        if manifest is None
        else {"family": manifest.family, "checkpoint": manifest.checkpoint_sha256[:12]}
    )
    return {"retouch": VERSION} | checkpoint
