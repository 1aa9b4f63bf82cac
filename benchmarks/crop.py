"""Whether the decoder could decode the region alone: error by margin, and the time saved.

    python -m benchmarks.crop [--json PATH]

The error is the difference from the whole image's decoding, in grey levels. A decoder whose norms
or attention span the whole image decodes a crop differently, however wide the margin is."""

from __future__ import annotations

import argparse
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.held_out_edits import Prepared, local, prepare
from benchmarks.interleave import in_turns
from benchmarks.results import save_json
from benchmarks.table import machine
from retouch.api.geometry import CELL
from retouch.launcher.server import REPOSITORY
from retouch.offline.plain_loop import PlainLoop

SCENES = 40
MARGINS = (0, 1, 2, 3, 4)
ALLOWED = 1  # grey levels


@dataclass(frozen=True)
class Margin:
    """Figures for a margin in cells around the region: largest difference in any scene, median,
    share of scenes within ALLOWED; milliseconds of the crop and of the whole image."""

    cells: int
    worst: int
    median: float
    within: float
    crop_ms: float
    whole_ms: float


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.crop", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    loop = PlainLoop(REPOSITORY)
    scenes = [
        (scene, latents(loop, scene, seed))
        for seed, scene in enumerate(prepare(loop, local, SCENES))
    ]
    margins = [measure(loop, scenes, margin) for margin in MARGINS]
    table = Table(
        "margin, cells",
        "worst, grey levels",
        "median of scenes",
        f"within {ALLOWED}",
        "crop",
        "whole image",
        title=f"Decoding the region alone\n{machine()}",
    )
    for row in margins:
        table.add_row(
            str(row.cells),
            str(row.worst),
            f"{row.median:g}",
            f"{row.within:.0%}",
            f"{row.crop_ms:.1f} ms",
            f"{row.whole_ms:.1f} ms",
        )
    Console().print(table)
    save_json(options.json, {"machine": machine(), "margins": [*map(asdict, margins)]})


def latents(loop: PlainLoop, scene: Prepared, seed: int) -> np.ndarray:
    """Latents of the edited image, [1, C, h, w]."""
    *_, last = loop.denoiser.run(scene.denoise_request(seed=seed))
    return last.latents[None]


def measure(loop: PlainLoop, scenes: list[tuple[Prepared, np.ndarray]], margin: int) -> Margin:
    away = [difference(loop, *scene, margin) for scene in scenes]
    crops = [(whole, box_of(scene, margin)) for scene, whole in scenes]
    spent = in_turns(
        {
            "crop": lambda turn: loop.decoder.run(cropped(*crops[turn % len(crops)])),
            "whole": lambda turn: loop.decoder.run(crops[turn % len(crops)][0]),
        },
        len(crops),
    )
    return Margin(
        margin,
        max(away),
        statistics.median(away),
        float(np.mean([difference <= ALLOWED for difference in away])),
        statistics.median(spent["crop"]),
        statistics.median(spent["whole"]),
    )


def difference(loop: PlainLoop, scene: Prepared, whole: np.ndarray, margin: int) -> int:
    """Largest difference of any pixel in the region's box, in grey levels."""
    (top, bottom, left, right) = box_of(scene, 0)
    (y, x) = box_of(scene, margin)[::2]
    expected = loop.decoder.run(whole)[0, top * CELL : bottom * CELL, left * CELL : right * CELL]
    crop = loop.decoder.run(cropped(whole, box_of(scene, margin)))[0]
    crop = crop[(top - y) * CELL :, (left - x) * CELL :][: len(expected), : expected.shape[1]]
    return int(np.abs(crop.astype(int) - expected).max())


def box_of(scene: Prepared, margin: int) -> tuple[int, int, int, int]:
    """First and last + 1 row and column of the region in cells, with a margin that ends at the
    image's edge."""
    rows, columns = (side // CELL for side in scene.source.pixels.shape[:2])
    cells = scene.parsed.region.reshape(rows, columns)
    sides = []
    for axis, most in ((1, rows), (0, columns)):
        there = np.flatnonzero(cells.any(axis))
        sides += [max(0, there[0] - margin), min(most, there[-1] + 1 + margin)]
    return tuple(sides)


def cropped(whole: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """Latents [1, C, h, w] of a box in cells of the 128-pixel image that `whole` is of."""
    size = whole.shape[2] * CELL // 128
    top, bottom, left, right = (side * size for side in box)
    return np.ascontiguousarray(whole[:, :, top:bottom, left:right])


if __name__ == "__main__":
    main()
