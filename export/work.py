"""What an export has to do: what is asked for and is not there yet. Imports no torch by itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.checkpoint import Checkpoint
from export.faults import check
from export.lora import AdapterFile
from export.parts import FAMILIES, Part, checkpoint_digest, current
from retouch.manifest import read
from retouch.types import LANES


@dataclass
class Work:
    """What is missing: parts other than the denoiser, lanes of the denoiser by precision, and TensorRT plans of lanes. The
    lanes are those of the checkpoint's adapter, where it has one."""

    checkpoint: Checkpoint
    sha256: str
    repository: Path
    parts: list[Part]
    denoiser: Part | None
    lanes: list[str]
    plans: list[str]

    @classmethod
    def of(cls, folder: Path, asked: list[str], repository: Path, only: str | None, tensorrt: bool, weightless: bool,
           lora: AdapterFile | None) -> Work:
        """CheckpointError or AdapterError when one of the two cannot be exported, ValueError when `only` names no part.
        What is there already counts as missing where it is to be `weightless`, and parts that must be loaded do not."""
        checkpoint = Checkpoint(folder)
        if checkpoint.family not in FAMILIES:
            raise ValueError(f"the export of {checkpoint.family} is not built yet; there are {', '.join(FAMILIES)}")
        parts = {part.name: part for part in FAMILIES[checkpoint.family]}
        if only not in (None, *parts):
            raise ValueError(f"--only {only} is no part of this checkpoint; it must be {', '.join(parts)}")
        check(checkpoint, weights=not weightless, whole=only is None and not weightless)
        checkpoint.adapter = lora.read(checkpoint) if lora else None
        adapter, sha256 = checkpoint.adapter, checkpoint_digest(folder)
        denoiser = parts.pop("denoiser") if only in (None, "denoiser") else None

        def missing(part: Part, lane: str, about: dict[str, Any] | None = None) -> bool:
            return weightless or not current(part.folder(repository, lane), sha256, lane, about)

        def planless(lane: str) -> bool:
            return lane in lanes or not read(denoiser.folder(repository, named[lane])).plans

        named = {lane: adapter.lane(lane) if adapter else lane for lane in LANES}
        lanes = [lane for lane in LANES if denoiser and lane in {"bf16", *asked}
                 and missing(denoiser, named[lane], adapter and adapter.about())]
        plans = [lane for lane in LANES if denoiser and tensorrt and lane in asked and planless(lane)]
        others = [part for part in parts.values() if not adapter and only in (None, part.name)
                  and (part.streams or not weightless) and missing(part, "bf16")]
        return cls(checkpoint, sha256, repository, others, denoiser, lanes, plans)

    def __bool__(self) -> bool:
        return bool(self.parts or self.lanes or self.plans)
