"""The terminal table of the evaluation of photographs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table

from training.figures import REFERENCE
from training.photo.evaluation import ALL
from training.photo.judge import LARGEST, LEAST_DETAIL
from training.table import NONE, figures_table

Figures = dict[str, dict[str, dict[str, Any]]]  # by lane and kind of edit
CAPTION = (
    f"success: the mean colour difference ΔE (CIEDE2000) inside the change is at most {LARGEST:g}, "
    "no pixel outside the region has moved, and the answer keeps "
    f"{LEAST_DETAIL:.0%} of the gradient energy where the edit keeps the content; lost: points of "
    f"success that {REFERENCE} has more. By the first lane: ΔE of the answer and of the source, "
    "kept detail, edits that moved a pixel outside, and seconds of an edit from file to file"
)
FIRST = ("ΔE", "ΔE\nbefore", "detail", "moved\noutside", "s")


def photo_table(figures: Figures, title: str) -> Table:
    """Success by kind of edit and lane, points lost by the narrow lanes, and the first lane's other
    figures. Three lanes fit into 80 columns."""
    names = [name for lane in figures for name in _columns(lane)]
    out = figures_table(title, CAPTION, "edit", "edits", *names, *FIRST)
    for kind, row in next(iter(figures.values())).items():
        cells = [cell for lane in figures for cell in _success(lane, figures[lane][kind])]
        out.add_row(kind, str(row["edits"]), *cells, *_others(row), style=_style(kind))
    return out


def _columns(lane: str) -> Iterator[str]:
    yield lane
    if lane != REFERENCE:
        yield f"{lane}\nlost"


def _success(lane: str, row: dict[str, Any]) -> Iterator[str]:
    yield f"{row['success']:.1%}"
    if lane != REFERENCE:
        yield NONE if row["loss_points"] is None else f"{row['loss_points']:.1f}"


def _others(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{row['difference']:.1f}",
        f"{row['before']:.1f}",
        NONE if row["detail"] is None else f"{row['detail']:.0%}",
        str(row["moved_outside"]),
        f"{row['seconds']:.2f}",
    )


def _style(kind: str) -> str | None:
    return "bold" if kind == ALL else None
