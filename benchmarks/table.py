"""A table of results: ours, theirs, their ratio, and the aim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import machine as here
from benchmarks.results import save_json

FASTER = "times faster"
AT_MOST = "of theirs, at most"
AT_LEAST = "times theirs"
MORE = "more than theirs, at most"


@dataclass(frozen=True)
class Row:
    """`ours` and `theirs` are medians in `unit`. `kind` says what the ratio is and on which side of
    `aim` it should be: FASTER theirs / ours, AT_MOST and AT_LEAST ours / theirs; of MORE it is no
    ratio but ours - theirs in `unit`. `bound` are the numbers that bound it, in words."""

    work: str
    against: str
    ours: float
    theirs: float
    unit: str
    kind: str
    aim: float
    quality: str
    bound: str = ""
    more: dict = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        if self.kind == MORE:
            return self.ours - self.theirs
        return self.theirs / self.ours if self.kind == FASTER else self.ours / self.theirs

    @property
    def met(self) -> bool:
        return self.ratio <= self.aim if self.kind in (AT_MOST, MORE) else self.ratio >= self.aim


def show(title: str, rows: Sequence[Row]) -> None:
    table = Table(title=f"{title}\n{machine()}")
    for name in ("work", "against", "ours", "theirs", "ratio", "aim", "quality"):
        table.add_column(name, justify="right" if name in ("ours", "theirs", "ratio") else "left")
    for row in rows:
        sign = "≤" if row.kind in (AT_MOST, MORE) else "≥"
        unit = f" {row.unit}" if row.kind == MORE else ""
        table.add_row(
            row.work,
            row.against,
            f"{row.ours:.1f} {row.unit}",
            f"{row.theirs:.1f} {row.unit}",
            f"+{row.ratio:.1f}{unit}" if unit else f"{row.ratio:.2f}",
            f"{sign} {row.aim:g}{unit}{'' if row.met else ' missed'}",
            row.quality,
        )
    console = Console(width=max(150, Console().width))
    console.print(table)
    for row in rows:
        if row.bound and not row.met:
            console.print(f"{row.work}, {row.against}: {row.bound}")


def save(rows: Sequence[Row], path: Path | None) -> None:
    """Save all figures and the machine. Does nothing without a path."""
    documents = [asdict(row) | {"ratio": row.ratio, "met": row.met} for row in rows]
    save_json(path, {"machine": machine(), "rows": documents})


def machine() -> str:
    """Processor, versions and commit."""
    this = here.machine()
    return (
        f"{this.processor}, Python {this.python}, ONNX Runtime "
        f"{this.versions.get('ONNX Runtime')}, NumPy {this.versions.get('NumPy')}, commit "
        f"{this.commit}"
    )
