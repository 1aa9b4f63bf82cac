"""An export's steps one after the other, with a bar that says which."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from retouch_export import calibrate
from retouch_export.export_plan import Settings, Work
from retouch_export.exporter import Exporter
from retouch_export.ranges import Ranges, read
from retouch_export.silence import quiet


def run(work: Work, settings: Settings) -> None:
    """Do the work; whatever a step raises ends it, and the steps before stay."""
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        bar = progress.add_task(
            "loading torch", total=len(work.stages) + len(work.lanes) + len(work.plans)
        )
        exporter = Exporter(
            work.checkpoint,
            work.sha256,
            work.repository,
            lambda words: progress.update(bar, description=words),
            settings.weightless,
        )
        for done in _steps(work, exporter, settings):
            progress.update(bar, advance=1)
            print(done, flush=True)


def _steps(work: Work, exporter: Exporter, settings: Settings) -> Iterator[str]:
    """What was done, after each step."""
    for stage in work.stages:
        with quiet():
            exporter.whole(stage)
        yield (
            f"exported {stage.name}"
            if exporter.weightless
            else f"exported and checked {stage.name}"
        )
    ranges: Ranges = {}
    for lane in work.lanes:
        if lane == "bf16":
            with quiet():
                sizes = exporter.streamed(work.denoiser)
        else:
            ranges = ranges or _ranges(work, exporter, settings.calibration)
            sizes = exporter.narrow(work.denoiser, lane, ranges)
        yield f"exported {work.denoiser.name}_{exporter.lane(lane)}: {_told(sizes)}"
    for lane in work.plans:
        sizes = exporter.plans(work.denoiser, lane, settings.force, settings.strip)
        yield f"built the plans of {work.denoiser.name}_{exporter.lane(lane)}: {_told(sizes)}"


def _ranges(work: Work, exporter: Exporter, calibration: Path | None) -> Ranges:
    """From the file, or over the checkpoint's pairs; a graph without weights has no activations to
    measure."""
    if exporter.weightless:
        return {}
    if calibration:
        return read(calibration)
    pairs = calibrate.pairs(work.checkpoint.folder)
    said = (
        exporter.say(f"calibrating: pair {index + 1} of {len(pairs)}") or pair
        for index, pair in enumerate(pairs)
    )
    return calibrate.calibrate(work.repository, said, lane=exporter.lane("bf16"))


def _told(sizes: dict[str, int]) -> str:
    """Bytes by tier, or by graph, and in all."""
    parts = ", ".join(f"{tier} {size / 1e6:,.2f} MB" for tier, size in sorted(sizes.items()))
    return f"{parts}; {sum(sizes.values()) / 1e6:,.2f} MB in all"
