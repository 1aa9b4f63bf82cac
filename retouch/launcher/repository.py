"""Models and profiles of a Triton model repository."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from retouch.artifacts.manifest import NAME as MANIFEST
from retouch.artifacts.typed_folder import DENOISER

EVALUATOR = "evaluator"  # the model's name
EVALUATOR_FILES = (MANIFEST, "model.onnx")
ENSEMBLE_STEP = re.compile(r'^\s*model_name:\s*"(\w+)"', re.MULTILINE)


def models(repository: Path, profile: str = "") -> list[str]:
    """Names of the models to load: all that have a config, but no evaluator without artifacts, and
    no lane without artifacts or without this profile.

    Triton would load a lane without the profile by its config.pbtxt, on the CPU.
    """
    names = sorted(path.parent.name for path in repository.glob("*/config.pbtxt"))
    lanes = {path.parent.parent.name for path in repository.glob(f"denoiser_*/1/{MANIFEST}")}
    if profile:
        lanes &= {
            path.parent.parent.name
            for path in repository.glob(f"denoiser_*/configs/{profile}.pbtxt")
        }
    if not all((repository / EVALUATOR / "1" / name).is_file() for name in EVALUATOR_FILES):
        names = [name for name in names if name != EVALUATOR]
    return [name for name in names if not name.startswith(DENOISER) or name in lanes]


def without(repository: Path, names: list[str], left_out: Collection[str]) -> list[str]:
    """`names` but for those `left_out` and the ensembles that need one of them."""
    return [
        name
        for name in names
        if name not in left_out and not _steps(repository / name).intersection(left_out)
    ]


def _steps(model: Path) -> set[str]:
    """The models that an ensemble runs; none for another model."""
    return {*ENSEMBLE_STEP.findall((model / "config.pbtxt").read_text())}


def profiles(repository: Path) -> list[str]:
    return sorted({path.stem for path in repository.glob("*/configs/*.pbtxt")})
