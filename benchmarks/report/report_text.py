"""The text of the report, as a document for Markdown and HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.report import costs, loads
from benchmarks.report.document import Block, Code, Document, Section, Text, Tile, Warn
from benchmarks.report.figures import (
    CLOSED,
    COLD,
    DOORS,
    MEMORY,
    OPEN,
    OVERHEAD,
    QUALITY,
    STAGES,
    STREAMING,
    Figures,
)

SECTIONS = {
    CLOSED: loads.closed,
    OPEN: loads.opened,
    STREAMING: loads.streaming,
    STAGES: costs.stages,
    DOORS: loads.doors,
    OVERHEAD: costs.overhead,
    QUALITY: costs.quality,
    COLD: costs.cold_start,
    MEMORY: costs.memory,
}


def story(figures: Figures) -> Document:
    sections = []
    for title, write in SECTIONS.items():
        blocks = write(figures)
        sections.append(Section(title, [*blocks, *_lacks(figures, title, bool(blocks))]))
    return Document(
        "Retouch: benchmark report", lead(figures), tiles(figures), [*sections, how(figures)]
    )


def lead(figures: Figures) -> list[str]:
    machine = figures.machine
    return [
        f"{machine.processor}, {machine.memory / 2**30:.0f} GiB of memory, {machine.system}. "
        f"Python {machine.python}, commit `{machine.commit}`, {figures.date} UTC, "
        f"{figures.seconds / 60:.1f} minutes.",
        f"{repeats(figures.effort.repetitions)} Every edit has a new image, one of "
        f"{figures.images} scenes with a changed pixel, 128 × 128, 96 × 160 or 160 × 96 pixels, "
        "with the checkpoint's default steps. The server has no response cache and has none of the "
        "images cached. Clients and server share the processor.",
    ]


def repeats(count: int) -> str:
    """A sentence on how often each load ran and what a figure is."""
    if count == 1:
        return "Every load ran once."
    return (
        f"Every load ran {count} times, in turns with the others. A figure is the median of the "
        "runs, with the smallest and the largest in brackets."
    )


def tiles(figures: Figures) -> list[Tile]:
    """The figures at the top, as far as they are known."""
    known = []
    alone = [level for level in figures.closed if level.clients == 1]
    if alone:
        known += [Tile(f"{alone[0].p50.median:.0f}", "ms", f"an edit alone, p50, {alone[0].door}")]
        known += [Tile(f"{figures.capacity:.1f}", "edits/s", "at most, closed loop")]
    if figures.streaming and figures.streaming[0].first:
        known += [
            Tile(f"{figures.streaming[0].first.median:.0f}", "ms", "first preview, one stream")
        ]
    below = [level for level in figures.open if level.asked <= figures.capacity]
    if below:
        slo = (
            f"within {figures.slo_ms:.0f} ms at {(below[-1].sent or below[-1].rate).median:.0f} "
            "edits/s"
        )
        known += [Tile(f"{below[-1].good.median:.0%}", "", slo)]
    if figures.overhead:
        known += [
            Tile(f"{figures.overhead.ratio.median:.2f}", "×", "of the same work in a plain loop")
        ]
    if figures.cold_start:
        known += [Tile(f"{figures.cold_start.ready.median:.1f}", "s", "from nothing to ready")]
    return known


def how(figures: Figures) -> Section:
    versions = {**figures.machine.versions, **figures.tools}
    blocks: list[Block] = [
        Text(", ".join(f"{name} {version}" for name, version in versions.items()) + "."),
        Text(
            "Latencies are per request, and quantiles are observed values. Rates are edits over "
            "the time from the first request to the last answer. `raw/` has perf_analyzer's CSV "
            "and the times of every request; `figures.json` has all figures."
        ),
    ]
    if figures.commands:
        blocks += [
            Text("One of each kind of command, of which `make bench` runs all:"),
            Code(_kinds(figures.commands)),
        ]
    return Section("How it was measured", blocks)


def _lacks(figures: Figures, title: str, rest: bool) -> Iterable[Block]:
    missing = [part for part in figures.missing if title in part.sections]
    yield from (
        Warn(f"Not measured: {part.what}. {part.why[:1].upper()}{part.why[1:]}.")
        for part in missing
    )
    if not rest and not missing:
        yield Warn("Not measured.")


def _kinds(commands: Sequence[str]) -> list[str]:
    """The first command of every model, protocol and kind of load."""

    def kind(command: str) -> tuple[str, ...]:
        arguments = command.split()
        values = [
            arguments[arguments.index(flag) + 1] for flag in ("-m", "-i") if flag in arguments
        ]
        loads = [word for word in arguments if word.startswith(("--concurrency", "--request-rate"))]
        return arguments[0], *values, *loads

    first_of_kind: dict[tuple[str, ...], str] = {}
    for command in commands:
        first_of_kind.setdefault(kind(command), command)
    return list(first_of_kind.values())
