"""What a model repository was exported from, as its manifests say."""

from __future__ import annotations

from pathlib import Path

from retouch.api.version import VERSION
from retouch.artifacts.manifest import Manifest, read
from retouch.families.base import Family
from retouch.families.registry import family_of


def lane_manifest(repository: Path) -> Manifest | None:
    """Of a lane that is exported, whichever: all are of one checkpoint. None where there is
    none."""
    found = sorted(Path(repository).glob("denoiser_*/1/manifest.json"))
    return read(found[0].parent) if found else None


def family(repository: Path) -> Family:
    """The family of the checkpoint; ArtifactError, ValueError."""
    manifest = lane_manifest(repository)
    if manifest is None:
        raise ValueError("no lane is exported; run the export first")
    return family_of(manifest.family, manifest.settings)


def versions(repository: Path) -> dict[str, str]:
    """Of this package and, as far as it is exported, of the checkpoint behind the lanes."""
    manifest = lane_manifest(repository)
    checkpoint = (
        {}
        if manifest is None
        else {"family": manifest.family, "checkpoint": manifest.checkpoint_sha256[:12]}
    )
    return {"retouch": VERSION} | checkpoint
