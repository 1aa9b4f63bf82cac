"""An export's steps one after the other, with a bar that says which."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from export import calibrate
from export.exporter import Exporter
from export.quiet import quiet

if TYPE_CHECKING:
    from export.command import Plan


def run(plan: Plan, calibration: Path | None, weightless: bool) -> None:
    """Do what `plan` says; whatever a step raises ends it, and the steps before stay."""
    console = Console(stderr=True)
    columns = SpinnerColumn(), MofNCompleteColumn(), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("loading torch", total=len(plan.parts) + len(plan.lanes))
        exporter = Exporter(plan.checkpoint, plan.sha256, plan.repository,
                            lambda words: progress.update(bar, description=words), weightless)
        for done in _steps(plan, exporter, calibration):
            progress.update(bar, advance=1)
            print(done, flush=True)


def _steps(plan: Plan, exporter: Exporter, calibration: Path | None) -> Iterator[str]:
    """What was done, after each step."""
    for part in plan.parts:
        with quiet():
            exporter.whole(part)
        yield f"exported and checked {part.name}"
    ranges: calibrate.Ranges = {}
    for lane in plan.lanes:
        if lane == "bf16":
            with quiet():
                sizes = exporter.typed(plan.denoiser)
        else:
            ranges = ranges or _ranges(plan, exporter, calibration)
            sizes = exporter.narrow(plan.denoiser, lane, ranges)
        yield f"exported {plan.denoiser.name}_{lane}: {_told(sizes)}"


def _ranges(plan: Plan, exporter: Exporter, calibration: Path | None) -> calibrate.Ranges:
    """From the file, or over the checkpoint's pairs; a graph without weights has no activations to measure."""
    if exporter.weightless:
        return {}
    if calibration:
        return calibrate.read(calibration)
    pairs = calibrate.pairs(plan.checkpoint.folder)
    said = (exporter.say(f"calibrating: pair {index + 1} of {len(pairs)}") or pair for index, pair in enumerate(pairs))
    return calibrate.calibrate(plan.repository, said)


def _told(sizes: dict[str, int]) -> str:
    """Bytes of the weights by tier and in all."""
    parts = ", ".join(f"{tier} {size / 1e6:,.2f} MB" for tier, size in sorted(sizes.items()))
    return f"{parts}; {sum(sizes.values()) / 1e6:,.2f} MB in all"
