"""What the report says of an edit's parts, of what serving adds, of lanes, of starting and of
memory."""

from __future__ import annotations

from benchmarks.report import plots
from benchmarks.report.document import Block, Gallery, Plot, Table, Text, Warn
from benchmarks.report.figures import Figures
from benchmarks.report.format import NONE, ms, one, spread
from benchmarks.report.plots import Bar

NO_LPIPS = "LPIPS was not measured: its weights are not installed (`make eval` fetches them)."
ORDER = (
    *(
        "preprocess",
        "vl_parser",
        "vae_encoder",
        "reference",
        "connector",
        "denoiser",
        "vae_decoder",
        "postprocess",
    ),
    "total",
)


def stages(figures: Figures) -> list[Block]:
    told = figures.stages
    if not told:
        return []
    known = [stage for stage in ORDER if stage in told[0].milliseconds]
    rows = [
        Bar("" if number else stage, each.milliseconds[stage], number)
        for stage in known
        for number, each in enumerate(told)
    ]
    legend = [f"{each.clients} at once" for each in told]
    return [
        Text(
            "Medians of the milliseconds that INFO tells, `edit_sync` over gRPC. `vl_parser` and `vae_encoder` run "
            "side by side, and `reference` while the parser reads, so that the stages add up to more than their total."
        ),
        Plot(
            "stages",
            plots.bars("Where an edit's time goes", rows, "ms", legend),
            "Milliseconds by stage",
        ),
        Table(
            ["stage", *(f"{words}, ms" for words in legend)],
            [[f"`{stage}`", *(ms(each.milliseconds[stage]) for each in told)] for stage in known],
        ),
    ]


def overhead(figures: Figures) -> list[Block]:
    told = figures.overhead
    if not told:
        return []
    return [
        Text(
            "One edit through `edit` against the same ONNX sessions called in a plain loop in one process, in turns, "
            f"medians of {told.turns}; both gave the same bytes."
        ),
        Table(
            ["way", "ms"],
            [
                ["plain loop", ms(told.plain)],
                ["through `edit`", ms(told.served)],
                ["ratio", spread(told.ratio, ".2f")],
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
            each.lane,
            ms(speed.get(each.lane)),
            f"{each.success:.1%}",
            f"{each.psnr:.1f}, {each.psnr_worst:.1f} dB" if each.psnr and each.psnr_worst else NONE,
            NONE if each.lpips is None else f"{each.lpips:.4f}",
            f"{each.weights / 1e6:.2f} MB",
        ]
        for each in figures.quality
    ]
    unknown = all(each.lpips is None for each in figures.quality)
    return [
        Text(
            f"Each lane's pictures of {scenes} held-out scenes, scene and seed the same, by the graphs that are "
            f"served: success as `make eval` judges it, PSNR and LPIPS against {reference}'s picture. Speed is that "
            "of one edit at a time through `edit_sync`."
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
            [Gallery("lanes", [(each.instruction, each.pictures) for each in figures.samples])]
            if figures.samples
            else []
        ),
    ]


def cold_start(figures: Figures) -> list[Block]:
    told = figures.cold_start
    if not told:
        return []
    starts = len(told.ready.runs)
    return [
        Text(
            f"A server started anew, {f'{starts} times' if starts > 1 else 'once'}; its files lie in the system's "
            "cache, which a machine just switched on does not have."
        ),
        Table(
            ["from", "to", "takes"],
            [
                ["`tritonserver` called", "all models ready", f"{one(told.ready)} s"],
                ["ready", "first edit answered", f"{ms(told.first)} ms"],
                ["first edit", "second edit answered, of another image", f"{ms(told.second)} ms"],
            ],
        ),
    ]


def memory(figures: Figures) -> list[Block]:
    told = figures.footprint
    if not told:
        return []
    pairs = (
        ("resident, a shared page in every process", told.resident_before, told.resident_after),
        ("proportional, a shared page once", told.proportional_before, told.proportional_after),
    )
    return [
        Text(
            f"The server and its stubs, {told.processes} processes, after two edits and after everything above, "
            f"{told.edits} images at most. What is kept of images is bounded and fills up."
        ),
        Table(
            ["memory", "after the start, MiB", "after the run, MiB", "growth"],
            [
                [
                    words,
                    f"{before / 2**20:.0f}",
                    f"{after / 2**20:.0f}",
                    f"{after / before - 1:+.1%}",
                ]
                for words, before, after in pairs
            ],
        ),
    ]
