"""Terminal tables of the figures of an evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from retouch.api.geometry import KEEP_BELOW
from training.figures import REFERENCE
from training.judge import INSIDE, OUTSIDE

NONE = "–"
QUALITY = (
    "success",
    "points\nlost",
    "strict",
    "LPIPS\nmean",
    "LPIPS\nworst",
    "PSNR\nmean",
    "PSNR\nworst",
)
COST = ("MB", "ms an\nedit", "ms a\nstep")


def show(figures: dict[str, Any], console: Console | None = None) -> None:
    """Print a table of the lanes, remarks on them, and a table of the operations. Three lanes fit
    into 80 columns."""
    console = console or Console(highlight=False)
    console.print(_lanes(figures), *_remarks(figures), _operations(figures), sep="\n")


def _lanes(figures: dict[str, Any]) -> Table:
    out = figures_table(
        f"{figures['scenes']} held-out scenes",
        (
            f"success: {INSIDE:.0%} of the pixels to change and {OUTSIDE:.0%} of the others have "
            f"the right colour; strict: of the others {OUTSIDE:.0%} have moved by less than "
            f"{KEEP_BELOW} grey levels. LPIPS and PSNR compare with {REFERENCE}'s picture of the "
            "same scene and seed; the mean PSNR is that of the mean squared error. MB: weights of "
            "the step graph. Milliseconds are medians on this machine's CPU."
        ),
        "lane",
        *QUALITY,
        *COST,
    )
    for lane, row in figures["lanes"].items():
        out.add_row(
            lane,
            *_quality(row),
            f"{sum(row['bytes'].values()) / 1e6:.2f}",
            _milliseconds(row["seconds_per_edit"]),
            _milliseconds(row["seconds_per_step"]),
        )
    return out


def _quality(row: dict[str, Any]) -> list[str]:
    alike = [NONE] * 4
    if "lpips_mean" in row:
        alike = [
            f"{row['lpips_mean']:.4f}",
            f"{row['lpips_worst']:.4f}",
            _decibels(row["psnr_mean"]),
            _decibels(row["psnr_worst"]),
        ]
    return [
        f"{row['success']:.1%}",
        f"{row['loss_points']:.1f}",
        f"{row['strict_success']:.1%}",
        *alike,
    ]


def _remarks(figures: dict[str, Any]) -> Iterator[str]:
    for lane, row in figures["lanes"].items():
        tiers = " + ".join(
            f"{size / 1e6:.2f} MB {tier}" for tier, size in sorted(row["bytes"].items())
        )
        yield f"{lane}: weights {tiers}"
        if "worst_scene" in row:
            yield (
                f"{lane}: {row['scenes_lost']} scenes lost and {row['scenes_won']} won, "
                f"{row['identical']} pictures identical; furthest from {REFERENCE} is scene "
                f"{row['worst_scene']}, “{row['worst_instruction']}”"
            )


def _operations(figures: dict[str, Any]) -> Table:
    lanes = figures["lanes"]
    out = figures_table(
        "success by operation",
        (
            "inside, outside: pixels of the right colour in what has to change and in the rest, by "
            f"{REFERENCE}; drift: grey levels that the rest has moved"
        ),
        "edit",
        "scenes",
        *lanes,
        "inside",
        "outside",
        "drift",
    )
    for kind, row in lanes[REFERENCE]["operations"].items():
        success = [f"{lane['operations'][kind]['success']:.1%}" for lane in lanes.values()]
        out.add_row(
            kind,
            str(row["scenes"]),
            *success,
            f"{row['inside']:.1%}",
            f"{row['outside']:.1%}",
            f"{row['drift']:.1f}",
            style="bold" if kind == "all" else None,
        )
    return out


def figures_table(
    title: str, caption: str | None, first: str, *others: str, no_wrap: bool = False
) -> Table:
    """An empty table without edges: the column `first` has names, the others figures. `no_wrap`
    keeps the names on one line."""
    out = Table(
        title=title,
        caption=caption,
        caption_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    out.add_column(first, no_wrap=no_wrap)
    for name in others:
        out.add_column(name, justify="right")
    return out


def _decibels(value: float | None) -> str:
    return "∞" if value is None else f"{value:.1f}"


def _milliseconds(seconds: float | None) -> str:
    return NONE if seconds is None else f"{1000 * seconds:.1f}"
