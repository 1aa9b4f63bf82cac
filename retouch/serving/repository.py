"""The checkpoint behind a model repository, by the manifests of its lanes."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from retouch.api.version import VERSION
from retouch.artifacts.manifest import NAME as MANIFEST
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


def lane_family(repository: Path, lane: str) -> Family:
    """The family with a lane's own defaults, as its manifest has them now; ArtifactError,
    ValueError."""
    folder = Path(repository) / f"denoiser_{lane}" / "1"
    path = folder / MANIFEST
    return _family_at(folder, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache
def _family_at(folder: Path, written: int) -> Family:
    """The family of the manifest that was `written` at that time."""
    manifest = read(folder)
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
