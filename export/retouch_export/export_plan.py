"""What an export has to do: what is asked for and is not there yet. Imports no torch by itself."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retouch.api.request import LANES
from retouch.artifacts.manifest import NAME as MANIFEST
from retouch.artifacts.manifest import ArtifactError, read
from retouch.artifacts.tensorrt_plan import PlanInfo
from retouch_export.checkpoint import Checkpoint
from retouch_export.lora import AdapterFile
from retouch_export.parts import FAMILIES, Part, checkpoint_digest, current
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
    """What is missing: parts other than the denoiser, lanes of the denoiser by precision, and
    TensorRT plans of lanes. The lanes are those of the checkpoint's adapter, where it has one."""

    checkpoint: Checkpoint
    sha256: str
    repository: Path
    parts: list[Part]
    denoiser: Part | None
    lanes: list[str]
    plans: list[str]

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
        `only` names no part. What is there already counts as missing where it is to be weightless,
        and parts that must be loaded do not; so does a lane that was calibrated by other ranges
        than those that are given, and a plan that is of no use here."""
        checkpoint = Checkpoint(folder, settings.variant)
        weightless = settings.weightless
        if checkpoint.family not in FAMILIES:
            raise ValueError(
                f"the export of {checkpoint.family} is not built yet; there are {', '.join(FAMILIES)}"
            )
        parts = {part.name: part for part in FAMILIES[checkpoint.family]}
        if only not in (None, *parts):
            raise ValueError(
                f"--only {only} is no part of this checkpoint; it must be {', '.join(parts)}"
            )
        check(checkpoint, weights=not weightless, whole=only is None and not weightless)
        checkpoint.adapter = lora.read(checkpoint) if lora else None
        adapter = checkpoint.adapter
        sha256 = checkpoint_digest(folder, settings.variant)
        denoiser = parts.pop("denoiser") if only in (None, "denoiser") else None

        def missing(part: Part, lane: str, about: dict[str, Any] | None = None) -> bool:
            return weightless or not current(part.folder(repository, lane), sha256, lane, about)

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
            part
            for part in parts.values()
            if not adapter
            and only in (None, part.name)
            and (part.streams or not weightless)
            and missing(part, "bf16")
        ]
        if weightless:
            _refuse_to_empty(
                [
                    *(part.folder(repository, "bf16") for part in others),
                    *(denoiser.folder(repository, lane) for lane in lanes),
                ]
            )
        return cls(checkpoint, sha256, repository, others, denoiser, lanes, plans)

    def __bool__(self) -> bool:
        return bool(self.parts or self.lanes or self.plans)

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
