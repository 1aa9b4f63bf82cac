"""Terminal tables of how well the parser tells what it can do from what it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table

from training.table import NONE, figures_table


def understanding_tables(figures: dict[str, Any]) -> Iterator[Table]:
    """What became of the sentences, and how reliable the confidence is."""
    yield _sentences(figures)
    yield _reliability(figures["reliability"])


def _sentences(figures: dict[str, Any]) -> Table:
    count = sum(figures[kind] for kind in ("made", "unmade", "unknown"))
    out = figures_table(
        f"{count} sentences that people wrote",
        "refused: not understood, which is wrong for what the checkpoint can do; right: the "
        "operations are those that the sentence asks for",
        "sentences",
        "count",
        "refused",
        "right",
        no_wrap=True,
    )
    made = _percent(figures["false_refusals"]), _percent(figures["right"])
    unmade = _percent(figures["unmade_refused"]), _percent(figures["unmade_right"])
    out.add_row("it can do", str(figures["made"]), *made)
    out.add_row("it reads, and cannot do", str(figures["unmade"]), *unmade)
    out.add_row("it does not know", str(figures["unknown"]), _percent(figures["refused"]), NONE)
    return out


def _reliability(bins: list[dict[str, float]]) -> Table:
    out = figures_table(
        "reliability of the confidence",
        "mean confidence of the sentences that were understood, by bins, and the share of them "
        "that was right",
        "confidence",
        "sentences",
        "right",
    )
    for row in bins:
        out.add_row(_percent(row["confidence"]), str(row["count"]), _percent(row["right"]))
    return out


def _percent(share: float | None) -> str:
    return NONE if share is None else f"{share:.1%}"
