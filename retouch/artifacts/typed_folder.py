"""The folder of a stage's typed graphs, beside those that every machine runs.

`model_repository/STAGE/1/` holds the graphs of a stage other than the denoiser, and
`model_repository/STAGE/1/PRECISION/` the same graphs in bf16, fp8 or fp4."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from retouch.api.lanes import LANES
from retouch.artifacts.manifest import FLOAT32, ArtifactError, read

DENOISER = "denoiser_"  # before a lane, the name of its model


def typed_folder(folder: Path, precision: str) -> Path:
    """The folder of the graphs in `precision`, or the version folder itself for ""."""
    return Path(folder) / precision if precision else Path(folder)


def exported_folder(folder: Path, precision: str) -> Path:
    """The same, after checking that its graphs were exported from the version folder's checkpoint;
    ArtifactError."""
    typed = typed_folder(folder, precision)
    if not precision:
        return typed
    stage = Path(folder).parent.name
    remedy = f"run `retouch export CHECKPOINT --parts {precision}`"
    if not typed.is_dir():
        raise ArtifactError(f"{stage} has no graphs in {precision}; {remedy}")
    if read(typed).checkpoint_sha256 != read(folder).checkpoint_sha256:
        raise ArtifactError(f"{stage} in {precision} is of another checkpoint; {remedy}")
    return typed


def part_in(folder: Path) -> str:
    """The stage whose graphs the folder holds; "" for a lane of the denoiser."""
    folder = Path(folder).absolute()
    model = folder.parent if folder.name.isdecimal() else folder.parents[1]
    return "" if model.name.startswith(DENOISER) else model.name


def precision_in(folder: Path) -> str:
    """The precision of the folder's graphs, "float32" included; "" when it has none.
    ArtifactError."""
    manifest = read(folder)
    if not any(name.endswith(".onnx") for name in manifest.files):
        return ""
    return FLOAT32 if manifest.arithmetic == FLOAT32 else manifest.precision


def remove_foreign(folder: Path, checkpoint_sha256: str) -> None:
    """Remove typed graphs of another checkpoint from a version folder."""
    for precision in LANES:
        typed = typed_folder(folder, precision)
        with contextlib.suppress(ArtifactError):  # it has none
            if read(typed).checkpoint_sha256 != checkpoint_sha256:
                shutil.rmtree(typed)
