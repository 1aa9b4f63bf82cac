"""The work of an export and its settings. This module does not import torch."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

from retouch.artifacts.manifest import NAME as MANIFEST
from retouch.artifacts.manifest import ArtifactError, read
from retouch.artifacts.tensorrt_plan import PlanInfo
from retouch_export.checkpoint import Checkpoint
from retouch_export.lane_defaults import Chosen
from retouch_export.parts import WIDE, Stage, TypedStage
from retouch_export.staleness import checkpoint_digest


@dataclass(frozen=True)
class Settings:
    """How the work is done: the options of `retouch export` that do not name artifacts."""

    calibration: Path | None = None
    weightless: bool = False
    strip: bool = False
    force: bool = False
    variant: str | None = None
    chosen: Chosen = field(default_factory=dict)  # defaults of the lanes


@dataclass
class Work:
    """What an export makes: stages other than the denoiser, lanes of the denoiser by precision,
    TensorRT `plans` of lanes and parts, and `parts`, typed graphs of stages other than the
    denoiser. If the checkpoint has an adapter, the lanes are the adapter's. Of the lanes
    `redefined` nothing changes but their defaults. `reasons` has a sentence for each existing
    artifact that is replaced."""

    checkpoint: Checkpoint
    sha256: str
    repository: Path
    stages: list[Stage]
    denoiser: Stage
    lanes: list[str]
    plans: list[tuple[Stage, str]]
    reasons: list[str] = field(default_factory=list)
    parts: list[tuple[TypedStage, str]] = field(default_factory=list)
    redefined: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return self.steps > 0

    @property
    def steps(self) -> int:
        """The number of artifacts that are made."""
        exported = len(self.stages) + len(self.parts) + len(self.lanes)
        return exported + len(self.plans) + len(self.redefined)

    def idle(self, settings: Settings) -> list[str]:
        """A sentence for every option that has no effect on this work."""
        precisions = [*self.lanes, *(precision for _, precision in self.parts)]
        narrow = not settings.weightless and any(name != WIDE for name in precisions)
        uses = (
            ("--calibration", settings.calibration, narrow, "lane fp8 or fp4 is to be calibrated"),
            ("--strip", settings.strip, self.plans, "plan is to be built"),
            ("--force", settings.force, self.plans, "plan is to be built"),
        )
        return [
            f"{option} is not used: no {missing}"
            for option, value, used, missing in uses
            if value and not used
        ]


def holds_another(repository: Path, checkpoint: Path, variant: str | None = None) -> bool:
    """Whether the repository holds artifacts of another checkpoint, or of an earlier state of this
    one. The evaluator's are of none."""
    sha256 = checkpoint_digest(checkpoint, variant)
    digests = []
    for manifest in repository.glob(f"*/1/{MANIFEST}"):
        with contextlib.suppress(ArtifactError):  # damaged artifacts belong to no checkpoint
            digests.append(read(manifest.parent).checkpoint_sha256)
    return any(digest not in ("", sha256) for digest in digests)


def plans_here(folder: Path, strip: bool, part: str = "") -> bool:
    """Whether a lane, or a part in a precision, has plans that run on this machine; with `strip`
    they must have no weights."""
    manifest = read(folder)
    if not manifest.plans:
        return False
    try:
        from retouch.backends.tensorrt.engine import machine  # needs TensorRT and a GPU

        target = machine()
        plans = {graph: PlanInfo.of(manifest, graph, part) for graph in manifest.plans}
        for graph, plan in plans.items():
            plan.check(target, graph)
    except ArtifactError:
        return False  # their build will report the reason
    return all(plan.stripped or not strip for plan in plans.values())
