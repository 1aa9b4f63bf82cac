"""The steps of an export, with a progress bar."""

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

from retouch_export import calibrate, calibrate_parts
from retouch_export.export_plan import Settings, Work
from retouch_export.exporter import Exporter
from retouch_export.lane_choice import redefine
from retouch_export.lane_defaults import chosen_text
from retouch_export.parts import WIDE
from retouch_export.ranges import Ranges, read
from retouch_export.silence import quiet


def run(work: Work, settings: Settings) -> None:
    """Do the work. The error of a step ends it; the artifacts of earlier steps are kept."""
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
        bar = progress.add_task("loading torch", total=work.steps)
        exporter = Exporter(
            work.checkpoint,
            work.sha256,
            work.repository,
            lambda message: progress.update(bar, description=message),
            settings.weightless,
            settings.chosen,
        )
        for message in _steps(work, exporter, settings):
            progress.update(bar, advance=1)
            print(message, flush=True)


def _steps(work: Work, exporter: Exporter, settings: Settings) -> Iterator[str]:
    """Run the steps; yields a message after each."""
    for stage in work.stages:
        with quiet():
            exporter.whole(stage)
        yield (
            f"exported {stage.name}"
            if exporter.weightless
            else f"exported and checked {stage.name}"
        )
    yield from _parts(work, exporter, settings)
    ranges: Ranges = {}
    for lane in work.lanes:
        if lane == "bf16":
            with quiet():
                sizes = exporter.streamed(work.denoiser)
        else:
            ranges = ranges or _ranges(work, exporter, settings.calibration)
            sizes = exporter.narrow(work.denoiser, lane, ranges)
        yield f"exported {work.denoiser.name}_{exporter.lane(lane)}: {_sizes_text(sizes)}"
    for lane in work.redefined:
        name = exporter.lane(lane)
        chosen = redefine(
            work.denoiser.folder(work.repository, name),
            work.denoiser.part().settings(work.checkpoint),
            work.checkpoint,
            settings.chosen,
        )
        yield f"defaults of {work.denoiser.name}_{name}: {chosen_text(chosen)}"
    for stage, precision in work.plans:
        label = stage.label(exporter.lane(precision))
        sizes = exporter.plans(stage, precision, settings.force, settings.strip)
        yield (
            f"built the plans of {label}: {_sizes_text(sizes)}"
            if sizes
            else f"{label} has no graphs and needs no plan"
        )


def _parts(work: Work, exporter: Exporter, settings: Settings) -> Iterator[str]:
    """Export typed graphs of stages other than the denoiser; the wide ones of all stages first,
    because the others are calibrated with them."""
    ranges: dict[str, Ranges] = {}
    for stage, precision in sorted(work.parts, key=lambda part: part[1] != WIDE):
        if precision == WIDE:
            with quiet():
                sizes = exporter.wide(stage)
        else:
            ranges = ranges or _part_ranges(work, exporter, settings.calibration)
            sizes = exporter.narrow(stage, precision, ranges.get(stage.name, {}))
        yield f"exported {stage.label(precision)}: {_sizes_text(sizes)}"


def _part_ranges(work: Work, exporter: Exporter, calibration: Path | None) -> dict[str, Ranges]:
    """Ranges by stage: of the file where it has the stage's graphs, or measured on the checkpoint's
    calibration pairs."""
    if exporter.weightless:
        return {}
    stages = {stage.name: stage for stage, precision in work.parts if precision != WIDE}
    known = calibrate_parts.known(work.repository, list(stages.values()), calibration)
    missing = [name for name in stages if name not in known]
    if not missing:
        return known
    measured = calibrate_parts.calibrate(
        work.repository, work.checkpoint, _reported(work, exporter), missing
    )
    return known | measured


def _ranges(work: Work, exporter: Exporter, calibration: Path | None) -> Ranges:
    """Ranges of the file, or measured on the checkpoint's calibration pairs. A weightless export
    needs none."""
    if exporter.weightless:
        return {}
    if calibration:
        return read(calibration)
    return calibrate.calibrate(
        work.repository, _reported(work, exporter), lane=exporter.lane("bf16")
    )


def _reported(work: Work, exporter: Exporter) -> Iterator[calibrate.CalibrationPair]:
    """The checkpoint's calibration pairs, each with a message."""
    pairs = calibrate.pairs(work.checkpoint.folder)
    for number, pair in enumerate(pairs, start=1):
        exporter.say(f"calibrating: pair {number} of {len(pairs)}")
        yield pair


def _sizes_text(sizes: dict[str, int]) -> str:
    """Megabytes by tier or graph, and their sum."""
    parts = ", ".join(f"{tier} {size / 1e6:,.2f} MB" for tier, size in sorted(sizes.items()))
    return f"{parts}; {sum(sizes.values()) / 1e6:,.2f} MB in all"
