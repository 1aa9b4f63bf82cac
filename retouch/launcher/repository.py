"""Models and profiles of a Triton model repository."""

from __future__ import annotations

from pathlib import Path


def models(repository: Path, profile: str = "") -> list[str]:
    """Names of the models to load: all that have a config, but no lane without artifacts or without
    this profile.

    Triton would load a lane without the profile by its config.pbtxt, on the CPU.
    """
    names = sorted(path.parent.name for path in repository.glob("*/config.pbtxt"))
    lanes = {path.parent.parent.name for path in repository.glob("denoiser_*/1/manifest.json")}
    if profile:
        lanes &= {
            path.parent.parent.name
            for path in repository.glob(f"denoiser_*/configs/{profile}.pbtxt")
        }
    return [name for name in names if not name.startswith("denoiser_") or name in lanes]


def profiles(repository: Path) -> list[str]:
    return sorted({path.stem for path in repository.glob("*/configs/*.pbtxt")})
