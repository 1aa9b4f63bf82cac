"""Adapters by request: many of them in random order, and how an adapter reaches a graph.

    python -m benchmarks.adapters [--adapters 20] [--edits 200] [--wide] [--json PATH]

Random LoRAs of rank 16 for all linear layers of the shipped transformer are added as
`retouch adapters add` does. Edits of random adapters run within a budget of six. A picture is
compared with that of the graphs with merged weights, rounded to bfloat16 as an exported lane has
them, and some in float32. Then one step is timed by both ways: low-rank branches whose matrices are
inputs, and patched initialisers. `--wide` measures the latter on a random transformer of 129 M
parameters too, whose export takes a minute."""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from safetensors.numpy import save_file

from benchmarks.adapter_ways import RANK, ways
from benchmarks.interleave import in_turns, medians
from benchmarks.machine import machine
from benchmarks.merged_adapters import MergedBackend, random_adapter
from benchmarks.results import save_json
from benchmarks.wide_transformer import export_wide
from retouch.api.adapters import parse_adapters
from retouch.api.request import EditRequest
from retouch.artifacts.adapter_folder import (
    DOWN,
    UP,
    adapters_in,
    fingerprint,
    read_adapter,
    read_matrices,
)
from retouch.artifacts.manifest import read
from retouch.artifacts.matrices import Matrices
from retouch.backends.onnx import Float32Backend
from retouch.engine.adapter_store import AdapterStore
from retouch.engine.denoiser import Denoiser
from retouch.imaging import images
from retouch.launcher.server import REPOSITORY, ROOT
from retouch.offline.plain_loop import PlainLoop
from retouch_export.adapter_conversion import add_adapter
from training.likeness import likeness

PHOTO = (ROOT / "checkpoints" / "photo" / "shapes.png").read_bytes()
LANE = REPOSITORY / "denoiser_bf16" / "1"
SENTENCE = "make the red circle blue"
ROOM = 6  # adapters in the budget
EXACT = 3  # adapters that are compared in float32


@dataclass(frozen=True)
class Order:
    """Edits of random adapters. `least_db` and `median_db` are of their pictures against merged
    weights, `far_float32` is the largest relative difference in float32. First uses, and reading
    and copying a file alone, are median milliseconds."""

    adapters: int
    edits: int
    loads: int
    hits: int
    evictions: int
    adapter_mb: float
    budget_mb: float
    peak_mb: float
    least_db: float
    median_db: float
    far_float32: float
    first_use_ms: float
    read_and_copy_ms: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--adapters", type=int, default=20)
    parser.add_argument("--edits", type=int, default=200)
    parser.add_argument("--wide", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures: dict[str, Any] = {"machine": asdict(machine())}
    with tempfile.TemporaryDirectory() as folder:
        lanes = {"shipped": LANE}
        if options.wide:
            lanes["wide"] = export_wide(Path(folder) / "wide")
        figures["order"] = asdict(in_random_order(Path(folder), options.adapters, options.edits))
        save_json(options.json, figures)
        figures["ways"] = {name: list(map(asdict, ways(lane))) for name, lane in lanes.items()}
    _print(figures)
    save_json(options.json, figures)


# -- many in random order --------------------------------------------------------------------------


def in_random_order(folder: Path, count: int, edits: int) -> Order:
    names = [f"a{number}" for number in range(count)]
    adapters = folder / "adapters"
    for seed, name in enumerate(names):
        path = folder / f"{name}.safetensors"
        save_file(_as_diffusers(random_adapter(LANE, seed, RANK)), path)
        add_adapter(path, name, read(LANE), adapters)
    size = max(manifest.bytes for manifest in adapters_in(adapters).values())
    loop = PlainLoop(REPOSITORY)
    ours = Denoiser(LANE, adapters=adapters, adapter_bytes=ROOM * size)
    chosen = random.Random(0).choices(names, k=edits)
    pictures = []
    peak = 0
    for seed, name in enumerate(chosen):
        pictures.append(_picture(loop, ours, seed, name))
        peak = max(peak, ours.adapters.counts.bytes)
    decibels = []
    for name in names:
        matrices = read_matrices(adapters, read_adapter(adapters, name))
        merged = Denoiser(LANE, partial(MergedBackend, matrices=matrices))
        for seed in (seed for seed, other in enumerate(chosen) if other == name):
            decibels.append(_psnr(pictures[seed], _picture(loop, merged, seed)))
    counts = ours.adapters.counts
    first, alone = _first_uses(adapters, fingerprint(read(LANE)), names)
    return Order(
        count,
        edits,
        counts.misses,
        counts.hits,
        counts.evictions,
        size / 1e6,
        ROOM * size / 1e6,
        peak / 1e6,
        min(decibels),
        statistics.median(decibels),
        max(_far_float32(loop, adapters, name) for name in names[:EXACT]),
        first,
        alone,
    )


def _picture(loop: PlainLoop, denoiser: Denoiser, seed: int, name: str = "") -> np.ndarray:
    """The picture of an edit in the parser's region, by this denoiser."""
    loop.denoiser = denoiser
    return images.decode(loop.edit(EditRequest(PHOTO, SENTENCE, seed=seed, adapter=name)))


def _as_diffusers(matrices: Matrices) -> Matrices:
    """The tensors of a LoRA file in diffusers' layout."""
    sides = {DOWN: "lora_A", UP: "lora_B"}
    return {
        f"transformer.{name.rpartition('/')[0]}.{sides['/' + name.rpartition('/')[2]]}.weight": (
            np.ascontiguousarray(matrix.T)
        )
        for name, matrix in matrices.items()
    }


def _psnr(ours: np.ndarray, theirs: np.ndarray) -> float:
    error = likeness(ours, theirs, lambda *_: 0.0).mse
    return float(10 * np.log10(255**2 / error)) if error else 100.0


def _far_float32(loop: PlainLoop, adapters: Path, name: str) -> float:
    """The relative difference of latents from those of merged weights, where nothing is rounded."""
    matrices = read_matrices(adapters, read_adapter(adapters, name))
    ours = Denoiser(LANE, Float32Backend, adapters=adapters)
    theirs = Denoiser(LANE, partial(MergedBackend, rounded=False, matrices=matrices))
    near, exact = (_latents(loop, *pair) for pair in ((ours, name), (theirs, "")))
    return float(np.linalg.norm(near - exact) / np.linalg.norm(exact))


def _latents(loop: PlainLoop, denoiser: Denoiser, name: str) -> np.ndarray:
    loop.denoiser = denoiser
    pixels = images.decode(PHOTO)
    parsed = loop.parser.run(pixels[None], [SENTENCE])[0]
    adapters = parse_adapters(name)
    *_, last = loop.denoise(pixels, parsed, parsed.region, seed=0, adapters=adapters)
    return last.result


def _first_uses(adapters: Path, network: str, names: list[str]) -> tuple[float, float]:
    """Median milliseconds of an adapter's first use, and of reading and copying its file alone."""
    store = AdapterStore(adapters, network)
    files = [adapters / name / read_adapter(adapters, name).file for name in names]
    spent = in_turns(
        {
            "first": lambda turn: store.pin(((names[turn], 1.0),), lambda matrices: matrices),
            "alone": lambda turn: np.fromfile(files[turn], np.uint8).copy(),
        },
        len(names) - 1,
    )
    middle = medians(spent)
    return middle["first"], middle["alone"]


# -- the report ------------------------------------------------------------------------------------


def _print(figures: dict[str, Any]) -> None:
    console = Console()
    for name, rows in figures["ways"].items():
        table = Table("way", "a step, ms", "first use, s", "first use, MB", title=name)
        for row in rows:
            numbers = row["step_ms"], row["first_use_s"], row["first_use_mb"]
            table.add_row(row["name"], *(f"{number:.3g}" for number in numbers))
        console.print(table)
    for name, value in figures["order"].items():
        console.print(f"{name:18} {value:.4g}")


if __name__ == "__main__":
    main()
