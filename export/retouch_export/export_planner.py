"""The choice of an export's work: everything that is requested and not up to date. This module does
not import torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retouch.api.lanes import LANES
from retouch.artifacts.manifest import NAME as MANIFEST
from retouch.artifacts.manifest import read
from retouch.artifacts.typed_folder import precision_in
from retouch_export.checkpoint import Checkpoint
from retouch_export.export_plan import Settings, Work, plans_here
from retouch_export.lane_choice import choice
from retouch_export.lora import AdapterFile
from retouch_export.parts import (
    DENOISER,
    TYPED,
    WIDE,
    Stage,
    TypedStage,
    stages_of,
    typed_stages_of,
)
from retouch_export.staleness import checkpoint_digest, why_stale
from retouch_export.validate import check


@dataclass(frozen=True)
class ExportRequest:
    """What an export is to make: `lanes` of the denoiser, all stages or `only` one, and with
    `tensorrt` the plans of lanes and parts. With `lora` the lanes are those of the adapter.
    `parts` are the precisions of the other stages' typed graphs. `origin` is where the checkpoint
    was downloaded from."""

    checkpoint: Path
    repository: Path
    lanes: list[str]
    only: str | None = None
    tensorrt: bool = False
    lora: AdapterFile | None = None
    parts: Sequence[str] = ()
    origin: str = ""


def plan_export(request: ExportRequest, settings: Settings) -> Work:
    """The work for a request.

    CheckpointError or AdapterError when checkpoint or adapter cannot be exported. ValueError when
    `only` is no stage, or when a weightless export would replace one that is served."""
    return _Planner(request, settings).work()


class _Planner:
    """One request, with its checkpoint and adapter."""

    def __init__(self, request: ExportRequest, settings: Settings):
        self._request = request
        self._settings = settings
        self._checkpoint = Checkpoint(request.checkpoint, settings.variant)
        self._checkpoint.origin = request.origin
        self._stages = {stage.name: stage for stage in stages_of(self._checkpoint.family)}
        only = request.only
        if only not in (None, *self._stages):
            raise ValueError(
                f"--only {only} is no part of this checkpoint; it must be {', '.join(self._stages)}"
            )
        is_whole = only is None and not settings.weightless
        check(self._checkpoint, weights=not settings.weightless, whole=is_whole)
        self._checkpoint.adapter = request.lora.read(self._checkpoint) if request.lora else None
        self._sha256 = checkpoint_digest(request.checkpoint, settings.variant)
        self._denoiser = self._stages.pop(DENOISER)
        self._has_lanes = only in (None, DENOISER)
        self._reasons: list[str] = []

    def work(self) -> Work:
        lanes = self._missing_lanes()
        stages = self._missing_stages()
        parts = self._missing_parts(stages)
        if self._settings.weightless:
            self._refuse_to_replace(stages, lanes)
        return Work(
            self._checkpoint,
            self._sha256,
            self._request.repository,
            stages,
            self._denoiser,
            lanes,
            self._missing_plans(lanes, parts),
            self._reasons,
            parts,
            self._redefined(lanes),
        )

    def _redefined(self, anew: list[str]) -> list[str]:
        """Requested lanes that are up to date but for their defaults."""
        if not self._has_lanes or self._settings.weightless:
            return []
        return [
            lane
            for lane in LANES
            if lane in {WIDE, *self._request.lanes}
            and lane not in anew
            and self._has_other_defaults(lane)
        ]

    def _has_other_defaults(self, lane: str) -> bool:
        folder = self._denoiser.folder(self._request.repository, self._lane_name(lane))
        before = read(folder).settings.get("defaults", {})
        return choice(before, self._checkpoint, self._settings.chosen) != before

    def _missing_stages(self) -> list[Stage]:
        """Stages other than the denoiser; none for an adapter."""
        if self._checkpoint.adapter:
            return []
        return [
            stage
            for stage in self._stages.values()
            if self._is_chosen(stage) and self._is_missing(stage, WIDE)
        ]

    def _missing_parts(self, stages: list[Stage]) -> list[tuple[TypedStage, str]]:
        """Requested typed graphs that are missing, stale or calibrated with other ranges, and those
        of the `stages` that are exported now; none for an adapter."""
        if self._checkpoint.adapter:
            return []
        anew = {stage.name for stage in stages}
        return [
            (stage, precision)
            for stage, precision in typed_stages_of(self._checkpoint.family, self._request.parts)
            if self._is_chosen(stage)
            and (
                self._is_missing(stage, precision)
                or stage.name in anew
                or self._has_other_ranges(stage, precision)
            )
        ]

    def _is_chosen(self, stage: Stage) -> bool:
        """Whether a stage other than the denoiser is requested. A weightless export has only those
        that stream their weights."""
        return self._request.only in (None, stage.name) and (
            stage.is_streamed or not self._settings.weightless
        )

    def _missing_lanes(self) -> list[str]:
        """Requested lanes that are missing, stale or calibrated with other ranges."""
        if not self._has_lanes:
            return []
        adapter = self._checkpoint.adapter
        entry = adapter.about() if adapter else None
        return [
            lane
            for lane in LANES
            if lane in {WIDE, *self._request.lanes}
            and (
                self._is_missing(self._denoiser, self._lane_name(lane), entry)
                or self._has_other_ranges(self._denoiser, lane)
            )
        ]

    def _missing_plans(
        self, lanes: list[str], parts: list[tuple[TypedStage, str]]
    ) -> list[tuple[Stage, str]]:
        """Requested plans that are missing or cannot run on this machine, and those of the `lanes`
        and `parts` that are exported now. The precisions of a stage follow one another, the widest
        first."""
        if not self._request.tensorrt:
            return []
        anew = {(self._denoiser, lane) for lane in lanes} | set(parts)
        return [
            (stage, precision)
            for stage, precision in self._planned()
            if (stage, precision) in anew or self._lacks_plans(stage, precision)
        ]

    def _planned(self) -> list[tuple[Stage, str]]:
        """The parts and lanes whose plans are requested. A part with one precision for all lanes
        always has its plans."""
        typed = typed_stages_of(self._checkpoint.family, self._request.parts)
        parts = [
            (stage, precision)
            for stage, precision in typed
            if not self._checkpoint.adapter
            and self._is_chosen(stage)
            and (precision in self._request.parts or len(TYPED[stage.name]) == 1)
        ]
        lanes = [lane for lane in LANES if lane in self._request.lanes and self._has_lanes]
        return [*parts, *((self._denoiser, lane) for lane in lanes)]

    def _lacks_plans(self, stage: Stage, precision: str) -> bool:
        """Whether exported graphs have no plans that run here; never for a stage without graphs."""
        folder = stage.folder(self._request.repository, self._lane_name(precision))
        part = stage.name if isinstance(stage, TypedStage) else ""
        return bool(precision_in(folder)) and not plans_here(folder, self._settings.strip, part)

    def _is_missing(self, stage: Stage, lane: str, adapter: dict[str, Any] | None = None) -> bool:
        """Whether artifacts are missing or stale; notes the reason for stale ones. A weightless
        export replaces all."""
        if self._settings.weightless:
            return True
        folder = stage.folder(self._request.repository, lane)
        reason = why_stale(stage, folder, self._sha256, lane, adapter)
        if reason and (folder / MANIFEST).is_file():
            name = stage.label(lane) if isinstance(stage, TypedStage) else stage.model(lane)
            self._reasons.append(f"{name} is exported again: {reason}")
        return reason is not None

    def _has_other_ranges(self, stage: Stage, lane: str) -> bool:
        """Whether a lane was calibrated with other ranges than those of --calibration."""
        if lane == WIDE or not self._settings.calibration:
            return False
        from retouch_export.ranges import FILE, alike  # imports ml_dtypes

        folder = stage.folder(self._request.repository, self._lane_name(lane))
        return not alike(folder / FILE, self._settings.calibration)

    def _lane_name(self, lane: str) -> str:
        adapter = self._checkpoint.adapter
        return adapter.lane(lane) if adapter else lane

    def _refuse_to_replace(self, stages: list[Stage], lanes: list[str]) -> None:
        """ValueError when a weightless export would replace artifacts that are served."""
        repository = self._request.repository
        folders = [stage.folder(repository, WIDE) for stage in stages]
        folders += [self._denoiser.folder(repository, lane) for lane in lanes]
        names = [folder.parent.name for folder in folders if (folder / MANIFEST).is_file()]
        if names:
            raise ValueError(
                f"--weightless would replace what is served of {', '.join(names)} by graphs that "
                "cannot be; name another folder with --repository"
            )
