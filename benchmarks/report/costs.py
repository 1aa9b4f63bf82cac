"""Sections on the cost of an edit's stages, of serving, of lanes, of a start, and of memory."""

from __future__ import annotations

from benchmarks.report import plots
from benchmarks.report.document import Block, Gallery, Plot, Table, Text, Warn
from benchmarks.report.figures import Figures
from benchmarks.report.format import NONE, ms, one, spread
from benchmarks.report.plots import Bar

NO_LPIPS = "LPIPS was not measured: its weights are not installed (`make eval` fetches them)."
ORDER = (
    "preprocess",
    "vl_parser",
    "vae_encoder",
    "reference",
    "connector",
    "denoiser",
    "vae_decoder",
    "postprocess",
    "total",
)


def stages(figures: Figures) -> list[Block]:
    levels = figures.stages
    if not levels:
        return []
    known = [stage for stage in ORDER if stage in levels[0].milliseconds]
    rows = [
        Bar("" if number else stage, level.milliseconds[stage], number)
        for stage in known
        for number, level in enumerate(levels)
    ]
    legend = [f"{level.clients} at once" for level in levels]
    return [
        Text(
            "Medians of the milliseconds in INFO, for `edit_sync` over gRPC. `vl_parser` and "
            "`vae_encoder` run side by side, and `reference` runs during the parser, so the "
            "stages add up to more than the total."
        ),
        Plot(
            "stages",
            plots.bars("Where an edit's time goes", rows, "ms", legend),
            "Milliseconds by stage",
        ),
        Table(
            ["stage", *(f"{label}, ms" for label in legend)],
            [
                [f"`{stage}`", *(ms(level.milliseconds[stage]) for level in levels)]
                for stage in known
            ],
        ),
    ]


def overhead(figures: Figures) -> list[Block]:
    measured = figures.overhead
    if not measured:
        return []
    return [
        Text(
            "One edit through `edit` against the same ONNX sessions in a plain loop in one "
            f"process, in turns; medians of {measured.turns} edits. Both gave the same bytes."
        ),
        Table(
            ["way", "ms"],
            [
                ["plain loop", ms(measured.plain)],
                ["through `edit`", ms(measured.served)],
                ["ratio", spread(measured.ratio, ".2f")],
            ],
        ),
    ]


def quality(figures: Figures) -> list[Block]:
    if not figures.quality:
        return []
    speed = {level.lane: level.p50 for level in figures.lanes}
    reference = figures.quality[0].lane
    scenes = figures.quality[0].scenes
    bars = [Bar(lane, figure, number) for number, (lane, figure) in enumerate(speed.items())]
    rows = [
        [
            lane.lane,
            ms(speed.get(lane.lane)),
            f"{lane.success:.1%}",
            f"{lane.psnr:.1f}, {lane.psnr_worst:.1f} dB" if lane.psnr and lane.psnr_worst else NONE,
            NONE if lane.lpips is None else f"{lane.lpips:.4f}",
            f"{lane.weights / 1e6:.2f} MB",
        ]
        for lane in figures.quality
    ]
    unknown = all(lane.lpips is None for lane in figures.quality)
    return [
        Text(
            f"Pictures of {scenes} held-out scenes by each lane, with the same seeds, from the "
            "served graphs. Success is judged as in `make eval`; PSNR and LPIPS compare with "
            f"{reference}. Latency is that of one edit at a time through `edit_sync`."
        ),
        *(
            [Plot("lanes", plots.bars("An edit by lane, p50", bars, "ms"), "Latency by lane")]
            if bars
            else []
        ),
        Table(
            ["lane", "p50, ms", "success", "PSNR mean, worst", "LPIPS mean", "weights of a step"],
            rows,
        ),
        *([Warn(NO_LPIPS)] if unknown else []),
        *(
            [
                Gallery(
                    "lanes", [(sample.instruction, sample.pictures) for sample in figures.samples]
                )
            ]
            if figures.samples
            else []
        ),
    ]


def cold_start(figures: Figures) -> list[Block]:
    seconds = figures.cold_start
    if not seconds:
        return []
    starts = len(seconds.ready.runs)
    return [
        Text(
            f"A new server, started {f'{starts} times' if starts > 1 else 'once'}. Its files are "
            "in the system's cache, unlike after a boot."
        ),
        Table(
            ["from", "to", "takes"],
            [
                ["`tritonserver` called", "all models ready", f"{one(seconds.ready)} s"],
                ["ready", "first edit answered", f"{ms(seconds.first)} ms"],
                [
                    "first edit",
                    ("second edit answered, of another image"),
                    f"{ms(seconds.second)} ms",
                ],
            ],
        ),
    ]


def memory(figures: Figures) -> list[Block]:
    footprint = figures.footprint
    if not footprint:
        return []
    pairs = (
        (
            ("resident, a shared page in every process"),
            footprint.resident_before,
            footprint.resident_after,
        ),
        (
            ("proportional, a shared page once"),
            footprint.proportional_before,
            footprint.proportional_after,
        ),
    )
    return [
        Text(
            f"The server and its stubs, {footprint.processes} processes, after two edits and after "
            f"all loads above, at most {footprint.edits} images. The caches of images are bounded "
            "and fill up."
        ),
        Table(
            ["memory", "after the start, MiB", "after the run, MiB", "growth"],
            [
                [
                    title,
                    f"{before / 2**20:.0f}",
                    f"{after / 2**20:.0f}",
                    f"{after / before - 1:+.1%}",
                ]
                for title, before, after in pairs
            ],
        ),
    ]
