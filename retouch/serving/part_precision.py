"""The precision of a stage's graphs for an edit, by the lane of its denoiser: the parameter
`precision` of a stage's config.pbtxt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    """The precision for every lane, or, with `by_lane`, for the lanes that it names; other lanes
    then have the version folder's graphs."""

    every: str = VERSION_FOLDER
    by_lane: Mapping[str, str] | None = None

    @classmethod
    def parse(cls, text: str, folder: Path) -> PartPrecision:
        """Of "", a precision, `auto`, or pairs of lane and precision as `bf16:bf16,fp8:fp8`;
        ValueError. `folder` is the stage's version folder."""
        if text.strip() == AUTO:
            exported = [lane for lane in LANES if (typed_folder(folder, lane) / NAME).is_file()]
            return cls(by_lane={lane: lane for lane in exported})
        if ":" not in text:
            return cls(_known(text.strip(), text))
        pairs = [pair.partition(":") for pair in text.split(",")]
        return cls(
            by_lane={
                _known(lane.strip(), text): _known(precision.strip(), text)
                for lane, _, precision in pairs
            }
        )

    def of(self, lane: str) -> str:
        """The precision for a lane, with an adapter or without."""
        if self.by_lane is None:
            return self.every
        return self.by_lane.get(precision_of(lane), VERSION_FOLDER)


@dataclass(frozen=True)
class ServedPart:
    """A stage, and its entry in `parts` of an answer's INFO."""

    stage: Any
    parts: dict[str, str]


def served_parts(
    folder: Path, precision: PartPrecision, make: Callable[[Path], Any], lanes: Sequence[str]
) -> Callable[[str], ServedPart]:
    """A function from the lane of an edit to its stage: one is made by `make(folder)` for every
    precision that `lanes` have. `folder` is the stage's version folder; ArtifactError."""
    parts = {}
    for name in dict.fromkeys(precision.of(lane) for lane in lanes):
        graphs = exported_folder(folder, name)
        served = precision_in(graphs)
        about = {Path(folder).parent.name: served} if served else {}
        parts[name] = ServedPart(make(graphs), about)
    return lambda lane: parts[precision.of(lane)]


def _known(name: str, text: str) -> str:
    if name not in (VERSION_FOLDER, *LANES):
        raise ValueError(
            f"the parameter precision is {text!r}; it must be empty, {AUTO}, {', '.join(LANES)}, "
            "or pairs of lane and precision, such as bf16:bf16,fp8:fp8"
        )
    return name
