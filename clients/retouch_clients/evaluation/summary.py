"""What the terminal shows of an evaluation's figures and comparisons."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from retouch_clients.cli.console import console
from retouch_clients.evaluation.report import Report, elo_text, share_text


def print_figures(result: Report) -> None:
    """A line for the judge and a table of all figures."""
    if not result.judge:
        return
    console.print(escape(f"judge {result.judged_by}"), soft_wrap=True)
    table = Table("figure", "mean", "deviation", "pictures", box=None, pad_edge=False)
    for spread in result.scores.figures:
        deviation = "–" if spread.deviation is None else f"{spread.deviation:.2f}"
        counts = " / ".join(map(str, spread.counts))
        table.add_row(escape(spread.name), f"{spread.mean:.2f}", deviation, counts)
    console.print(table)


def print_comparisons(result: Report) -> None:
    """A line for the judge and one for each side but the first."""
    console.print(escape(f"judge {result.judged_by}"), soft_wrap=True)
    for comparison in result.comparisons:
        counts = f"{comparison.wins} won, {comparison.ties} tied, {comparison.losses} lost"
        share, elo = share_text(comparison), elo_text(comparison)
        text = f"{comparison.method}: {counts}; share of wins {share}, Elo {elo}"
        console.print(escape(text), soft_wrap=True)
