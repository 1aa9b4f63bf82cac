"""Sections on loads: closed loop, Poisson arrivals, streams."""

from __future__ import annotations

from benchmarks.report import plots
from benchmarks.report.document import Block, Plot, Table, Text
from benchmarks.report.figures import Figures, Level, Spread
from benchmarks.report.format import ms, one, share
from benchmarks.report.plots import Bar, Moments, Series

QUANTILES = ("p50", "p90", "p99")


def closed(figures: Figures) -> list[Block]:
    levels = figures.closed
    if not levels:
        return []
    names = dict.fromkeys(level.door for level in levels)
    doors = {name: [level for level in levels if level.door == name] for name in names}
    unary, main = next(iter(doors.items()))
    curves = [
        Series(name, [(level.clients, getattr(level, name)) for level in main], colour)
        for colour, name in enumerate(QUANTILES)
    ]
    rates = [
        Series(door, [(level.clients, level.rate) for level in levels_of_door], colour)
        for colour, (door, levels_of_door) in enumerate(doors.items())
        if len(levels_of_door) > 1
    ]
    return [
        Text(
            "Concurrent clients, each sending its next edit when the last one is answered; "
            f"{main[0].count} edits a run, by perf_analyzer. Latencies are by the client's clock; "
            "the wait in Triton's queue is by the server's."
        ),
        Plot(
            "latency",
            plots.lines(f"Latency, {unary}", curves, "edits at once", "ms", doubling=True),
            "Latency against edits at once",
        ),
        Plot(
            "throughput",
            plots.lines("Throughput", rates, "edits at once", "edits/s", doubling=True),
            "Edits a second against edits at once",
        ),
        Table(
            ["door", "at once", "p50, ms", "p90, ms", "p99, ms", "edits/s", "queue, ms"],
            [
                [level.door, str(level.clients), *_latency(level), one(level.rate), ms(level.queue)]
                for level in levels
            ],
        ),
    ]


def opened(figures: Figures) -> list[Block]:
    levels = figures.open
    if not levels:
        return []
    slo = f"{figures.slo_ms:.0f} ms"
    latencies = [
        Series(name, [(level.asked, getattr(level, name)) for level in levels], colour)
        for colour, name in enumerate(QUANTILES)
    ]
    rates = [
        Series(title, [(level.asked, getattr(level, name)) for level in levels], colour)
        for title, name, colour in (("delivered", "rate", 0), ("goodput", "goodput", 2))
    ]
    return [
        Text(
            "Edits arrive as a Poisson process at shares of the capacity, the highest rate of the "
            f"closed loop ({figures.capacity:.1f} edits/s), through {levels[0].door}: "
            f"{levels[0].count} edits a run below the capacity. A good edit takes at most {slo}, a "
            "limit that was set before the run. Its share counts all requests, also refused ones. "
            "perf_analyzer ends at the first refusal, so a client of Retouch sends the rate above "
            "the capacity. The rate sent is that of the arrivals: perf_analyzer draws the same "
            "arrivals in every run, and with so few of them it differs a little from the rate "
            "asked."
        ),
        Plot(
            "arrivals",
            plots.lines(
                "Latency under arrivals",
                latencies,
                "edits asked a second",
                "ms",
                (figures.slo_ms, f"SLO {slo}"),
            ),
            "Latency against the rate asked",
        ),
        Plot(
            "goodput",
            plots.lines("Delivered, and within the SLO", rates, "edits asked a second", "edits/s"),
            "Delivered and good edits a second against the rate asked",
        ),
        Table(
            [
                "edits/s asked",
                "sent",
                "delivered",
                "p50, ms",
                "p99, ms",
                f"within {slo}",
                "goodput",
                "refused",
                "by",
            ],
            [
                [
                    f"{level.asked:.1f}",
                    one(level.sent),
                    one(level.rate),
                    ms(level.p50),
                    ms(level.p99),
                    share(level.good),
                ]
                + [one(level.goodput), share(level.refused), level.tool]
                for level in levels
            ],
        ),
    ]


def streaming(figures: Figures) -> list[Block]:
    levels = [level for level in figures.streaming if level.first and level.gap]
    if not levels:
        return []
    rows = [
        Moments(
            f"{level.clients} at once",
            [
                ("first preview", level.first),
                ("second preview", _plus(level.first, level.gap)),
                ("result", level.p50),
            ],
        )
        for level in levels
    ]
    return [
        Text(
            f"`edit` over a gRPC stream with {levels[0].previews} previews, from perf_analyzer's "
            "profile export. A gap is the time between two answers, including the result. The "
            "plot draws the second preview one gap after the first."
        ),
        Plot(
            "streaming", plots.timeline("What comes when", rows), "When previews and results come"
        ),
        Table(
            [
                "at once",
                "first preview, ms",
                "gap, ms",
                "result p50, ms",
                "result p99, ms",
                "edits/s",
            ],
            [
                [
                    str(level.clients),
                    ms(level.first),
                    ms(level.gap),
                    ms(level.p50),
                    ms(level.p99),
                    one(level.rate),
                ]
                for level in levels
            ],
        ),
    ]


def doors(figures: Figures) -> list[Block]:
    levels = [level for level in (*figures.closed, *figures.openai) if level.clients == 1]
    if not levels:
        return []
    bars = [Bar(level.door, level.p50, number % 4) for number, level in enumerate(levels)]
    rated = [level for level in figures.openai if level.clients != 1]
    slo = f"within {figures.slo_ms:.0f} ms"
    more = Table(
        ["OpenAI door, AIPerf", "p50, ms", "p99, ms", "edits/s", slo, "refused"],
        [
            [
                f"{level.clients} at once" if level.clients else f"{level.asked:.1f} edits/s asked",
                *(
                    ms(level.p50),
                    ms(level.p99),
                    one(level.rate),
                    share(level.good),
                    share(level.refused),
                ),
            ]
            for level in rated
        ],
    )
    return [
        Text(
            "One edit at a time, one answer, no previews. AIPerf sends a multipart form and gets "
            "JSON with base64 text; perf_analyzer sends and gets raw bytes."
        ),
        Plot("doors", plots.bars("Latency of an edit, p50", bars, "ms"), "Latency by door"),
        Table(
            ["door", "by", "p50, ms", "p90, ms", "p99, ms", "edits/s"],
            [[level.door, level.tool, *_latency(level), one(level.rate)] for level in levels],
        ),
        *([more] if rated else []),
    ]


def _latency(level: Level) -> list[str]:
    return [ms(getattr(level, name)) for name in QUANTILES]


def _plus(a: Spread, b: Spread) -> Spread:
    return Spread.of([x + y for x, y in zip(a.runs, b.runs)])
