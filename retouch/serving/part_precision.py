"""The precision of a stage's graphs for an edit, by the lane of its denoiser: the parameter
`precision` of a stage's config.pbtxt."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retouch.api.lanes import LANES, precision_of
from retouch.artifacts.manifest import NAME
from retouch.artifacts.typed_folder import exported_folder, precision_in, typed_folder

VERSION_FOLDER = ""  # the graphs that every machine runs
AUTO = "auto"  # those of the lane's precision where they are exported, else the version folder's


@dataclass(frozen=True)
class PartPrecision:
    """The precisions `by_lane`. A lane that it does not name has that of the first."""

    by_lane: Mapping[str, str]

    @classmethod
    def parse(cls, text: str, folder: Path) -> PartPrecision:
        """Of "", a precision or `auto` for all lanes, or pairs of lane and one of these, such as
        `bf16:bf16,fp8:auto`; ValueError. `folder` is the stage's version folder."""
        listed = text.split(",") if ":" in text else [f"{lane}:{text}" for lane in LANES]
        pairs = [[part.strip() for part in pair.partition(":")] for pair in listed]
        for lane, _, precision in pairs:
            _check(lane, precision, text)
        return cls({lane: _chosen(lane, precision, folder) for lane, _, precision in pairs})

    def of(self, lane: str) -> str:
        """The precision for a lane, with an adapter or without."""
        first = next(iter(self.by_lane.values()))
        return self.by_lane.get(precision_of(lane), first)


def exported_lanes(repository: Path, precision: PartPrecision) -> list[str]:
    """The first lane of `precision`, and those of its others that are in `repository`."""
    manifests = repository.glob(f"denoiser_*/1/{NAME}")
    return lanes_with_denoiser(precision, {path.parent.parent.name for path in manifests})


def lanes_with_denoiser(precision: PartPrecision, models: Collection[str]) -> list[str]:
    """The first lane of `precision`, and those of its others whose denoiser is one of `models`."""
    first, *others = precision.by_lane
    return [first, *(lane for lane in others if f"denoiser_{lane}" in models)]


@dataclass(frozen=True)
class ServedPart:
    """A stage, and its entry in `parts` of an answer's INFO."""

    stage: Any
    parts: dict[str, str]


@dataclass(frozen=True)
class ServedParts:
    """The stages of a model by `precision`; called with the lane of an edit, its stage."""

    precision: PartPrecision
    stages: Mapping[str, ServedPart]

    def __call__(self, lane: str) -> ServedPart:
        return self.stages[self.precision.of(lane)]

    @property
    def batches(self) -> bool:
        """Whether a stage gains by a batch."""
        return any(part.stage.batches for part in self.stages.values())

    def grouped(self, lanes: Sequence[str]) -> Iterator[tuple[ServedPart, list[int]]]:
        """Every stage that serves one of these `lanes`, with the indices of its lanes."""
        indices: dict[str, list[int]] = {}
        for index, lane in enumerate(lanes):
            indices.setdefault(self.precision.of(lane), []).append(index)
        for precision, some in indices.items():
            yield self.stages[precision], some


def served_parts(
    folder: Path, precision: PartPrecision, make: Callable[[Path], Any], lanes: Sequence[str]
) -> ServedParts:
    """The stages for the edits of `lanes`: one is made by `make(folder)` for every precision that
    they have. `folder` is the stage's version folder; ArtifactError."""
    parts = {}
    for name in dict.fromkeys(precision.of(lane) for lane in lanes):
        graphs = exported_folder(folder, name)
        served = precision_in(graphs)
        about = {Path(folder).parent.name: served} if served else {}
        parts[name] = ServedPart(make(graphs), about)
    return ServedParts(precision, parts)


def _check(lane: str, precision: str, text: str) -> None:
    if lane not in LANES or precision not in (VERSION_FOLDER, AUTO, *LANES):
        raise ValueError(
            f"the parameter precision has {text!r}; it must be empty, {AUTO}, {', '.join(LANES)}, "
            "or pairs of a lane and one of these, such as bf16:bf16,fp8:fp8"
        )


def _chosen(lane: str, precision: str, folder: Path) -> str:
    if precision != AUTO:
        return precision
    return lane if (typed_folder(folder, lane) / NAME).is_file() else VERSION_FOLDER
