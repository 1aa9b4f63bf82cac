"""The table of the parser's and the connector's precisions, in the terminal and in a README."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from retouch.artifacts.manifest import FLOAT32
from training.figures import REFERENCE
from training.table import NONE, figures_table

BEGIN = "<!-- parts: `make eval PARTS=all` writes this table -->"
END = "<!-- end of parts -->"
PLACE = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
COLUMNS = (
    "parser, connector",
    "lane",
    "operations",
    "region IoU",
    "error of prompt embeds",
    "success",
    "points lost",
    "LPIPS mean",
    "PSNR mean",
    "MB of parser, connector, step",
)


def show_parts(figures: dict[str, Any], console: Console | None = None) -> None:
    """Print the table of `figures`, which have `parts` and `edits` by lane and precision."""
    console = console or Console(highlight=False)
    first, *others = (name.replace(" ", "\n") for name in COLUMNS)
    out: Table = figures_table(
        f"precisions of the parts, {figures['scenes']} held-out scenes",
        "operations and region IoU: against the scene / against the parser in float32; the "
        "autoencoder is bfloat16 beside typed parts",
        first,
        *others,
    )
    for row in _rows(figures):
        out.add_row(*row)
    console.print(out)


def write_table(figures: dict[str, Any], path: Path) -> None:
    """Write the table into a document, between two comments; ValueError when it has no place."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *_rows(figures)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    caption = (
        f"{figures['scenes']} held-out scenes. Operations and region IoU are against the scene / "
        "against the parser in float32."
    )
    text = path.read_text()
    if not PLACE.search(text):
        raise ValueError(f"{path} has no place for the table of parts: {BEGIN} and {END}")
    path.write_text(PLACE.sub(f"{BEGIN}\n\n{caption}\n\n{table}\n\n{END}", text))


def _rows(figures: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, edits in figures["edits"].items():
        lane, _, precision = name.partition("+")
        reading = figures["parts"][precision or FLOAT32]
        yield (
            precision or FLOAT32,
            lane,
            _pair(reading, "operations", 1),
            _pair(reading, "region_iou", 3),
            f"{reading['embeds_error']:.2%}, {reading['embeds_worst']:.1%}" if precision else NONE,
            f"{edits['success']:.1%}",
            NONE if name == REFERENCE else f"{edits['loss_points']:.1f}",
            f"{edits['lpips_mean']:.4f}" if "lpips_mean" in edits else NONE,
            f"{edits['psnr_mean']:.1f}" if edits.get("psnr_mean") else NONE,
            _megabytes(reading["bytes"], edits["bytes"]),
        )


def _pair(reading: dict[str, float], name: str, digits: int) -> str:
    if digits == 1:
        return f"{reading[name]:.1%} / {reading[f'{name}_kept']:.1%}"
    return f"{reading[name]:.3f} / {reading[f'{name}_kept']:.3f}"


def _megabytes(parts: dict[str, int], step: dict[str, int]) -> str:
    sizes = (*parts.values(), sum(step.values()))
    return ", ".join(f"{size / 1e6:.2f}" if size else NONE for size in sizes)
