"""What stays outside of regions, over held-out scenes: changed bits, the model's drift, and regions
that are found without the parser.

    python -m benchmarks.regions [--scenes N] [--json PATH]

Every scene is edited with one seed by each REGION, without a server: the parser's region, a mask of
the pixels that should change, all of the image, and the region that an early step changes."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.results import save_json
from benchmarks.table import machine
from retouch.api.request import EditRequest
from retouch.engine.edit_state import Progress
from retouch.imaging import images
from retouch.imaging.drift import Compared, measure
from retouch.launcher.server import REPOSITORY
from retouch.offline.plain_loop import PlainLoop
from training.judge import judge
from training.render import render
from training.scenes import HELD_OUT, Pair, held_out

REGIONS = ("auto", "mask", "full", "find")
PHOTOS = {"1 MP": (1024, 1024), "12 MP": (3000, 4000)}
REPEATS = 9


@dataclass(frozen=True)
class Outcome:
    """One edit: bits that changed outside of its region, the region's share of the image, whether
    the edit succeeds, and its drift."""

    kind: str
    changed_bits: int
    share: float
    success: bool
    shift: tuple[float, float] | None
    change: float | None


class WatchedLoop(PlainLoop):
    """Remembers the cells that the last edit might change."""

    cells: np.ndarray

    def denoise(self, *arguments, **options) -> Iterator[Progress]:
        self.cells = arguments[2]
        for progress in super().denoise(*arguments, **options):
            self.cells = self.cells if progress.cells is None else progress.cells
            yield progress


def edit(loop: WatchedLoop, pair: Pair, region: str, seed: int) -> Outcome:
    source = render(pair.source)
    target = render(pair.target)
    mask = (source.pixels != target.pixels).any(-1)
    value = images.encode_mask(mask) if region == "mask" else region.encode()
    request = EditRequest(images.encode(source.pixels), pair.instruction, seed=seed, region=value)
    answer = loop.answer(request)
    pixels = images.decode(answer.image)
    height, width = mask.shape
    cells = images.mask_of_cells(loop.cells, (height, width), height, width)
    inside = mask if region == "mask" else cells
    bits = np.unpackbits((pixels ^ source.pixels)[~inside])
    drift = answer.info.drift
    assert drift is not None and answer.info.region is not None  # every result has both
    return Outcome(
        pair.kind,
        int(bits.sum()),
        answer.info.region.share,
        judge(source, target, pixels).success,
        drift.shift,
        drift.change,
    )


def drift_seconds() -> dict[str, float]:
    """Medians of measuring the drift of an edit of 1 MP, by the size of its source image."""
    rng = np.random.default_rng(0)
    seconds = {}
    for name, (height, width) in PHOTOS.items():
        source = rng.integers(0, 256, (height, width, 3), np.uint8)
        edited = images.fit(source, (1024, 1024))
        mask = np.zeros((height, width), bool)
        mask[: height // 3, : width // 3] = True
        spent = []
        for _ in range(REPEATS):
            begin = time.perf_counter()
            measure(Compared.of(source, edited, mask))
            spent.append(time.perf_counter() - begin)
        seconds[name] = statistics.median(spent)
    return seconds


def show(outcomes: dict[str, list[Outcome]], seconds: dict[str, float]) -> None:
    count = len(next(iter(outcomes.values())))
    table = Table(title=f"{count} scenes\n{machine()}")
    columns = (
        "REGION",
        "scenes with a changed bit outside",
        "success",
        "share, mean",
        "share 1",
        "change outside, mean",
        "shift known",
        "largest known shift",
    )
    for name in columns:
        table.add_column(name)
    for region, edits in outcomes.items():
        table.add_row(region, *_figures(edits))
    console = Console(width=150)
    console.print(table)
    for name, value in seconds.items():
        console.print(f"drift of a photo of {name}: {1000 * value:.0f} ms")


def _figures(edits: Sequence[Outcome]) -> tuple[str, ...]:
    changes = [edit.change for edit in edits if edit.change is not None]
    shifts = [max(map(abs, edit.shift)) for edit in edits if edit.shift is not None]
    return (
        str(sum(edit.changed_bits > 0 for edit in edits)),
        f"{statistics.fmean(edit.success for edit in edits):.1%}",
        f"{statistics.fmean(edit.share for edit in edits):.2f}",
        str(sum(edit.share == 1 for edit in edits)),
        f"{statistics.fmean(changes):.2f}" if changes else "",
        str(len(shifts)),
        f"{max(shifts):.2f} px" if shifts else "",
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.regions")
    parser.add_argument("--scenes", type=int, default=HELD_OUT)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(arguments)
    loop = WatchedLoop(REPOSITORY)
    outcomes: dict[str, list[Outcome]] = {region: [] for region in REGIONS}
    for seed, pair in enumerate(held_out(options.scenes)):
        for region, edits in outcomes.items():
            edits.append(edit(loop, pair, region, seed))
    seconds = drift_seconds()
    show(outcomes, seconds)
    documents = {name: [asdict(edit) for edit in edits] for name, edits in outcomes.items()}
    save_json(options.json, {"machine": machine(), "drift": seconds, "scenes": documents})


if __name__ == "__main__":
    main()
