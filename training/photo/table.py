"""Terminal tables of the evaluation of photographs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table

from training.figures import REFERENCE
from training.photo.evaluation import ALL
from training.photo.judge import LARGEST, LEAST_DETAIL
from training.table import NONE, figures_table

Figures = dict[str, dict[str, dict[str, Any]]]  # by lane and kind of edit
SUCCESS = (
    f"success: the mean colour difference ΔE (CIEDE2000) inside the change is at most {LARGEST:g}, "
    "no pixel outside the region has moved, and the answer keeps "
    f"{LEAST_DETAIL:.0%} of the gradient energy where the edit keeps the content; lost: points of "
    f"success that {REFERENCE} has more; near: edits whose source has such a small ΔE already"
)
QUALITY = (
    "ΔE of the answer and of the source, share of the gradient energy that is kept, edits that "
    "moved a pixel outside their region, and seconds of an edit from file to file"
)


def photo_tables(figures: Figures, title: str) -> Iterator[Table]:
    """Success by kind of edit and lane with the points that narrow lanes lose, and the first lane's
    other figures. Three lanes fit into 80 columns."""
    yield _success(figures, title)
    lane, rows = next(iter(figures.items()))
    yield _quality(rows, f"quality by {lane}")


def _success(figures: Figures, title: str) -> Table:
    names = [name for lane in figures for name in _columns(lane)]
    out = figures_table(title, SUCCESS, "edit", "edits", "near", *names)
    for kind, row in next(iter(figures.values())).items():
        cells = [cell for lane in figures for cell in _cells(lane, figures[lane][kind])]
        out.add_row(kind, str(row["edits"]), f"{row['near']:.0%}", *cells, style=_style(kind))
    return out


def _columns(lane: str) -> tuple[str, ...]:
    return (lane,) if lane == REFERENCE else (lane, f"{lane}\nlost")


def _cells(lane: str, row: dict[str, Any]) -> Iterator[str]:
    yield f"{row['success']:.1%}"
    if lane != REFERENCE:
        yield NONE if row["loss_points"] is None else f"{row['loss_points']:.1f}"


def _quality(rows: dict[str, dict[str, Any]], title: str) -> Table:
    columns = ("ΔE", "ΔE before", "detail", "moved outside", "s")
    out = figures_table(title, QUALITY, "edit", *columns)
    for kind, row in rows.items():
        out.add_row(
            kind,
            f"{row['difference']:.1f}",
            f"{row['before']:.1f}",
            NONE if row["detail"] is None else f"{row['detail']:.0%}",
            str(row["moved_outside"]),
            f"{row['seconds']:.2f}",
            style=_style(kind),
        )
    return out


def _style(kind: str) -> str | None:
    return "bold" if kind == ALL else None
