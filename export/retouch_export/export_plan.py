"""What an export has to do: what is asked for and is not there yet. Imports no torch by itself."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from retouch.api.lanes import LANES
from retouch.artifacts.manifest import NAME as MANIFEST
from retouch.artifacts.manifest import ArtifactError, read
from retouch.artifacts.tensorrt_plan import PlanInfo
from retouch_export.checkpoint import Checkpoint
from retouch_export.lora import AdapterFile
from retouch_export.parts import DENOISER, Stage, stages_of
from retouch_export.staleness import checkpoint_digest, why_stale
from retouch_export.validate import check


@dataclass(frozen=True)
class Settings:
    """How the work is done: the options of `retouch export` that do not name what is to be made."""

    calibration: Path | None = None
    weightless: bool = False
    strip: bool = False
    force: bool = False
    variant: str | None = None


@dataclass
class Work:
    """What is missing: stages other than the denoiser, lanes of the denoiser by precision, and
    TensorRT plans of lanes. The lanes are those of the checkpoint's adapter, where it has one.
    `reasons` has a sentence for each artifact that is there and is replaced."""

    checkpoint: Checkpoint
    sha256: str
    repository: Path
    stages: list[Stage]
    denoiser: Stage | None
    lanes: list[str]
    plans: list[str]
    reasons: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        folder: Path,
        asked: list[str],
        repository: Path,
        only: str | None,
        tensorrt: bool,
        settings: Settings,
        lora: AdapterFile | None,
    ) -> Work:
        """CheckpointError or AdapterError when one of the two cannot be exported, ValueError when
        `only` names no stage.

        A weightless export replaces what is there, and has no stages that must be loaded. A lane is
        also missing when it was calibrated by other ranges, and a plan when it cannot run here."""
        checkpoint = Checkpoint(folder, settings.variant)
        weightless = settings.weightless
        stages = {stage.name: stage for stage in stages_of(checkpoint.family)}
        if only not in (None, *stages):
            raise ValueError(
                f"--only {only} is no part of this checkpoint; it must be {', '.join(stages)}"
            )
        check(checkpoint, weights=not weightless, whole=only is None and not weightless)
        checkpoint.adapter = lora.read(checkpoint) if lora else None
        adapter = checkpoint.adapter
        sha256 = checkpoint_digest(folder, settings.variant)
        denoiser = stages.pop(DENOISER) if only in (None, DENOISER) else None
        reasons: list[str] = []

        def missing(stage: Stage, lane: str, about: dict[str, Any] | None = None) -> bool:
            if weightless:
                return True
            target = stage.folder(repository, lane)
            reason = why_stale(stage, target, sha256, lane, about)
            if reason and (target / MANIFEST).is_file():
                reasons.append(f"{target.parent.name} is exported again: {reason}")
            return reason is not None

        def other_ranges(lane: str) -> bool:
            if lane == "bf16" or not settings.calibration:
                return False
            # ml_dtypes, which comes with the exporter's packages
            from retouch_export.ranges import (
                FILE,
                alike,
            )

            return not alike(denoiser.folder(repository, named[lane]) / FILE, settings.calibration)

        def planless(lane: str) -> bool:
            return lane in lanes or not plans_here(
                denoiser.folder(repository, named[lane]), settings.strip
            )

        named = {lane: adapter.lane(lane) if adapter else lane for lane in LANES}
        lanes = [
            lane
            for lane in LANES
            if denoiser
            and lane in {"bf16", *asked}
            and (missing(denoiser, named[lane], adapter and adapter.about()) or other_ranges(lane))
        ]
        plans = [
            lane for lane in LANES if denoiser and tensorrt and lane in asked and planless(lane)
        ]
        others = [
            stage
            for stage in stages.values()
            if not adapter
            and only in (None, stage.name)
            and (stage.is_streamed or not weightless)
            and missing(stage, "bf16")
        ]
        if weightless:
            _refuse_to_empty(
                [
                    *(stage.folder(repository, "bf16") for stage in others),
                    *(denoiser.folder(repository, lane) for lane in lanes),
                ]
            )
        return cls(checkpoint, sha256, repository, others, denoiser, lanes, plans, reasons)

    def __bool__(self) -> bool:
        return bool(self.stages or self.lanes or self.plans)

    def idle(self, settings: Settings) -> list[str]:
        """A sentence for every option that is given and changes nothing of this work."""
        narrow = not settings.weightless and [lane for lane in self.lanes if lane != "bf16"]
        given = (
            ("--calibration", settings.calibration, narrow, "lane fp8 or fp4 is to be calibrated"),
            ("--strip", settings.strip, self.plans, "plan is to be built"),
            ("--force", settings.force, self.plans, "plan is to be built"),
        )
        return [
            f"{option} is not used: no {what}"
            for option, value, used, what in given
            if value and not used
        ]


def holds_another(repository: Path, checkpoint: Path, variant: str | None = None) -> bool:
    """Whether what is exported there is of another checkpoint, or of this one as it was."""
    sha256 = checkpoint_digest(checkpoint, variant)
    found = []
    for manifest in repository.glob(f"*/1/{MANIFEST}"):
        with contextlib.suppress(ArtifactError):  # what is damaged is nobody's
            found.append(read(manifest.parent).checkpoint_sha256)
    return any(each != sha256 for each in found)


def _refuse_to_empty(folders: list[Path]) -> None:
    """ValueError when one of them holds an export that is served."""
    if there := [folder.parent.name for folder in folders if (folder / MANIFEST).is_file()]:
        raise ValueError(
            f"--weightless would replace what is served of {', '.join(there)} by graphs that cannot be; "
            "name another folder with --repository"
        )


def plans_here(folder: Path, strip: bool) -> bool:
    """Whether a lane has plans that run on this machine, and without weights where they are to be
    stripped."""
    manifest = read(folder)
    if not manifest.plans:
        return False
    try:
        from retouch.backends.tensorrt.engine import machine  # wants TensorRT and a GPU

        here = machine()
        plans = {graph: PlanInfo.of(manifest, graph) for graph in manifest.plans}
        for graph, plan in plans.items():
            plan.check(here, graph)
    except ArtifactError:
        return False  # whoever builds them says what is missing
    return all(plan.stripped or not strip for plan in plans.values())
