"""The figures of a report: plain numbers under stable names. `--json` writes them, and every page
is made from them alone."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.machine import Machine
from benchmarks.report.plan import Effort
from benchmarks.report.run import Run

CLOSED = "Closed loop"
STREAMING = "Streaming"
OPEN = "Open loop"
STAGES = "Stages"
DOORS = "Doors"
OVERHEAD = "Overhead"
COLD = "Cold start"
MEMORY = "Memory"
QUALITY = "Lanes and quality"


@dataclass(frozen=True)
class Spread:
    """A figure of several runs: their median, the smallest, the largest, and all of them."""

    median: float
    least: float
    most: float
    runs: list[float]

    @classmethod
    def of(cls, runs: Sequence[float]) -> Spread:
        return cls(statistics.median(runs), min(runs), max(runs), list(runs))


@dataclass(frozen=True)
class Level:
    """One load on one door, by one tool: `clients` edits at once, or `asked` edits a second as they
    come; `count` edits a run. The spreads are those of benchmarks.report.run.Run, over the runs."""

    door: str
    tool: str
    clients: int | None
    asked: float | None
    count: int
    lane: str
    previews: int
    p50: Spread
    p90: Spread
    p99: Spread
    rate: Spread
    good: Spread
    goodput: Spread
    refused: Spread
    sent: Spread | None = None
    queue: Spread | None = None
    first: Spread | None = None
    gap: Spread | None = None

    @classmethod
    def of(cls, runs: Sequence[Run], **what: object) -> Level:
        columns = {name: [getattr(run, name) for run in runs] for name in Run.__dataclass_fields__}
        return cls(
            **what,
            **{
                name: None if None in values else Spread.of(values)
                for name, values in columns.items()
            },
        )


@dataclass(frozen=True)
class Stages:
    """Median milliseconds by stage from INFO, of `clients` concurrent edits through `edit_sync`."""

    clients: int
    milliseconds: dict[str, Spread]


@dataclass(frozen=True)
class ColdStart:
    """Seconds until all models are ready, and milliseconds of the first edit after that and of the
    second."""

    ready: Spread
    first: Spread
    second: Spread


@dataclass(frozen=True)
class Footprint:
    """A server and its stubs in bytes after its first two edits, and after all `edits`;
    benchmarks.resident.Memory."""

    processes: int
    resident_before: int
    resident_after: int
    proportional_before: int
    proportional_after: int
    edits: int


@dataclass(frozen=True)
class Overhead:
    """Milliseconds of an edit in the plain loop and through `edit`, in turns, and their ratio."""

    plain: Spread
    served: Spread
    ratio: Spread
    turns: int


@dataclass(frozen=True)
class Quality:
    """A lane's pictures of held-out scenes: the share that succeeds, how like the reference lane's
    they are (decibels, None where they are the same or it is the reference; LPIPS None without its
    weights), and the bytes of a step's weights."""

    lane: str
    scenes: int
    success: float
    psnr: float | None
    psnr_worst: float | None
    lpips: float | None
    weights: int


@dataclass(frozen=True)
class Sample:
    """One held-out scene as PNG files in base64: the source, and each lane's result."""

    instruction: str
    pictures: dict[str, str]


@dataclass(frozen=True)
class Missing:
    """What could not be measured, why, and how to fix it; names of the sections that lack it."""

    what: str
    why: str
    sections: list[str]


@dataclass
class Figures:
    """All figures of a report. `slo_ms` was set before the run, `tools` are versions of the tools,
    `date` is UTC."""

    date: str
    seconds: float
    machine: Machine
    tools: dict[str, str]
    effort: Effort
    slo_ms: float
    images: int
    commands: list[str] = field(default_factory=list)
    closed: list[Level] = field(default_factory=list)
    streaming: list[Level] = field(default_factory=list)
    open: list[Level] = field(default_factory=list)
    lanes: list[Level] = field(default_factory=list)
    openai: list[Level] = field(default_factory=list)
    stages: list[Stages] = field(default_factory=list)
    cold_start: ColdStart | None = None
    footprint: Footprint | None = None
    overhead: Overhead | None = None
    quality: list[Quality] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)

    @property
    def capacity(self) -> float | None:
        """Edits a second that the unary gRPC door gave at most."""
        rates = [level.rate.median for level in self.closed if level.door == self.closed[0].door]
        return max(rates, default=None)


FIGURES = TypeAdapter(Figures)


def save(figures: Figures, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(FIGURES.dump_json(figures, indent=1) + b"\n")


def load(path: Path) -> Figures:
    return FIGURES.validate_json(path.read_bytes())
