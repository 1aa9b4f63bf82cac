"""Adapters by request: many of them in random order, and how an adapter reaches a graph.

    python -m benchmarks.adapters [--adapters 20] [--edits 200] [--wide] [--json PATH]

Random LoRAs of rank 16 for all linear layers of the shipped transformer are added as
`retouch adapters add` does, and merged into lanes as `retouch export --lora` does. Edits of random
adapters run within a budget of six; a picture is compared with its lane's, and in float32 with that
of merged weights. Then one step is timed by both ways: low-rank branches whose matrices are inputs,
and patched initialisers. `--wide` measures the latter on a random transformer of 129 M parameters
too, whose export takes a minute."""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import shutil
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
from retouch.api.adapters import Adapters
from retouch.api.request import EditRequest
from retouch.artifacts.adapter_folder import (
    DOWN,
    UP,
    adapters_in,
    read_adapter,
    read_matrices,
)
from retouch.artifacts.manifest import read
from retouch.artifacts.matrices import Matrices
from retouch.backends.onnx import Float32Backend
from retouch.engine.adapter_store import AdapterStore
from retouch.imaging import images
from retouch.launcher.server import REPOSITORY, ROOT
from retouch.offline.plain_loop import PlainLoop
from retouch_export.adapter_conversion import add_adapter
from retouch_export.command import export
from training.likeness import likeness

CHECKPOINT = ROOT / "checkpoints" / "shapes"
SENTENCE = "make the red circle blue"
ROOM = 6  # adapters in the budget


@dataclass(frozen=True)
class Order:
    """Edits of random adapters. `least_db` and `median_db` are of their pictures against the merged
    lanes', `far_float32` is the largest relative difference in float32. First uses, and reading and
    copying a file alone, are median milliseconds."""

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
        lanes = {"shipped": REPOSITORY / "denoiser_bf16" / "1"}
        if options.wide:
            lanes["wide"] = export_wide(Path(folder) / "wide")
        figures["ways"] = {name: list(map(asdict, ways(lane))) for name, lane in lanes.items()}
        save_json(options.json, figures)
        order = in_random_order(Path(folder), options.adapters, options.edits)
        figures["order"] = asdict(order)
    _print(figures)
    save_json(options.json, figures)


# -- many in random order --------------------------------------------------------------------------


def in_random_order(folder: Path, count: int, edits: int) -> Order:
    names = [f"a{number}" for number in range(count)]
    repository = _exported(folder, names)
    adapters = folder / "adapters"
    photo = (CHECKPOINT / "sample.png").read_bytes()
    size = max(manifest.bytes for manifest in adapters_in(adapters).values())
    loop = PlainLoop(repository, adapters=adapters)
    network = loop.denoiser.adapters._network
    loop.denoiser.adapters = AdapterStore(adapters, network, ROOM * size)
    chosen = random.Random(0).choices(names, k=edits)
    pictures = []
    peak = 0
    for seed, name in enumerate(chosen):
        request = EditRequest(photo, SENTENCE, seed=seed, region=b"full", adapter=name)
        pictures.append(images.decode(loop.edit(request)))
        peak = max(peak, loop.denoiser.adapters.counts.bytes)
    counts = loop.denoiser.adapters.counts
    decibels = []
    for name in names:
        merged = PlainLoop(repository, f"bf16-{name}")
        for seed in (seed for seed, other in enumerate(chosen) if other == name):
            request = EditRequest(
                photo, SENTENCE, seed=seed, region=b"full", precision=f"bf16-{name}"
            )
            decibels.append(_psnr(pictures[seed], images.decode(merged.edit(request))))
    first, alone = _first_uses(adapters, network, names)
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
        max(_far_float32(repository, adapters, photo, name) for name in names),
        first,
        alone,
    )


def _exported(folder: Path, names: list[str]) -> Path:
    """A repository with a merged lane for every adapter, which is in the folder `adapters` too."""
    repository = folder / "repository"
    ignored = shutil.ignore_patterns("__pycache__", "denoiser_fp*", "denoiser_*-*")
    shutil.copytree(REPOSITORY, repository, symlinks=True, ignore=ignored)
    lane = repository / "denoiser_bf16" / "1"
    for seed, name in enumerate(names):
        path = folder / f"{name}.safetensors"
        save_file(_as_diffusers(random_adapter(lane, seed, RANK)), path)
        add_adapter(path, name, read(lane), folder / "adapters")
        arguments = CHECKPOINT, "--repository", repository, "--only", "denoiser"
        adapter = "--lora", path, "--lora-name", name
        with contextlib.redirect_stdout(io.StringIO()):
            export.main(list(map(str, (*arguments, *adapter))), standalone_mode=False)
    return repository


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


def _far_float32(repository: Path, adapters: Path, photo: bytes, name: str) -> float:
    """The relative difference of latents from those of merged weights, where nothing is rounded."""
    matrices = read_matrices(adapters, read_adapter(adapters, name))
    ours = PlainLoop(repository, backend=Float32Backend, adapters=adapters)
    theirs = PlainLoop(repository, backend=partial(MergedBackend, rounded=False, matrices=matrices))
    results = [_latents(loop, photo, named) for loop, named in ((ours, name), (theirs, ""))]
    return float(np.linalg.norm(results[0] - results[1]) / np.linalg.norm(results[1]))


def _latents(loop: PlainLoop, photo: bytes, name: str) -> np.ndarray:
    pixels = images.decode(photo)
    parsed = loop.parser.run(pixels[None], [SENTENCE])[0]
    chosen: Adapters = ((name, 1.0),) if name else ()
    everywhere = np.ones_like(parsed.region, bool)
    *_, last = loop.denoise(pixels, parsed, everywhere, seed=0, adapters=chosen)
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
