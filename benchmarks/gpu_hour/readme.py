"""Fills the tables of benchmarks/README.md with the figures of a run.

A table lies between `<!-- gpu: NAME -->` and `<!-- /gpu -->`. A section without figures leaves its
table as it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Figures = dict[str, Any]
Cells = Iterable[object]


def fill(path: Path, figures: Figures) -> list[str]:
    """Write the rows of every table whose section is in `figures`; returns the tables' names."""
    text = path.read_text()
    gpu = figures["machine"]["gpu"]
    filled = []
    for name, rows_of in TABLES.items():
        measured = figures["sections"].get(name, {}).get("figures")
        if measured:
            text = _with_rows(text, name, [_row((gpu, *row)) for row in rows_of(measured)])
            filled.append(name)
    path.write_text(text)
    return filled


def _with_rows(text: str, name: str, rows: list[str]) -> str:
    """`text` with the two head lines of a table kept, and its rows replaced; ValueError when it has
    no such table."""
    pattern = re.compile(rf"(<!-- gpu: {name} -->\n\n?(?:\|.*\n){{2}})(?:\|.*\n)*")
    text, count = pattern.subn(lambda match: match[1] + "".join(rows), text)
    if count != 1:
        raise ValueError(f"the document has {count} tables `gpu: {name}`; it must have one")
    return text


def _row(cells: Cells) -> str:
    return "| " + " | ".join(map(str, cells)) + " |\n"


def _steps(figures: Figures) -> Iterable[Cells]:
    """Rows of `benchmarks.gpu`."""
    served = {(row["precision"], row["way"]): row["seconds"]["median"] for row in figures["served"]}
    for row in figures["steps"]:
        key = row["precision"], row["way"]
        ratio = figures["fp8_speedup"].get(row["way"]) if row["precision"] == "fp8" else None
        yield (
            *key,
            f"{row['seconds']['median']:.4f}",
            f"{row['share']:.0%}",
            f"{ratio:.2f}" if ratio else "",
            f"{row['error']:.4f}",
            f"{served[key]:.4f}" if key in served else "",
        )


def _klein(figures: Figures) -> Iterable[Cells]:
    """Rows of `benchmarks.klein`, by side."""
    for side, finding in sorted(figures["findings"].items(), key=lambda item: int(item[0])):
        batches = sorted(
            (int(tokens), batch) for tokens, batch in finding["batch_that_pays"].items()
        )
        yield side, f"{finding['region']:.2f}", batches[-1][1], batches[1][1]


def _parts(figures: Figures) -> Iterable[Cells]:
    """Rows of `benchmarks.parts`."""
    for row in figures["rows"]:
        yield (
            row["checkpoint"],
            row["part"],
            row["precision"],
            row["way"],
            f"{row['seconds']['median']:.4f}",
            f"{row['memory'] / 1e9:.1f}",
        )


def _edit(figures: Figures) -> Iterable[Cells]:
    """Rows of `benchmarks.edit_stages`."""
    spent = figures["milliseconds"]
    for name, value in spent.items():
        yield name, f"{value:.1f}", f"{value / spent['total']:.0%}"


TABLES: dict[str, Callable[[Figures], Iterable[Cells]]] = {
    "steps": _steps,
    "klein": _klein,
    "parts": _parts,
    "edit": _edit,
}
