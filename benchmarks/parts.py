"""Every part of an edit on this GPU: seconds of a run and bytes of memory, by graph.

    python -m benchmarks.parts [--checkpoints kontext,flux2-klein] [--json PATH]
    python -m benchmarks.parts --tiny --device cpu      tries the script without a GPU

The modules are those that `retouch export` traces and the torch backend runs, with random weights
of the real sizes in bfloat16, for one edit at 1024 × 1024. FP8 narrows what the lane fp8 narrows. A
CUDA graph repeats the eager kernels without the time between them."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from benchmarks.checkpoints import CHECKPOINTS, Large, write
from benchmarks.device import device_of, release
from benchmarks.narrowing import narrow
from benchmarks.options import some_of
from benchmarks.results import save_json
from benchmarks.timing import Timing, timed
from benchmarks.tiny_checkpoints import TINY
from retouch.api.geometry import CELL
from retouch.backends import torch_compile
from retouch.networks.vae_decoder import decoder
from retouch.networks.vae_encoder import encoder
from retouch_export.checkpoint import Checkpoint
from retouch_export.dtype import parameters_in
from retouch_export.graph import Shape
from retouch_export.parts import Part, stages_of
from retouch_export.policy import POLICIES

PRECISIONS = ("bf16", "fp8")
WAYS = ("eager", "compiled", "CUDA graph")
AUTOENCODER = ("vae_encoder", "vae_decoder")

Inputs = dict[str, Tensor]
Run = Callable[[], tuple[Tensor, ...]]
Make = Callable[[], tuple[nn.Module, Inputs]]


def square(side: int, text: int) -> Shape:
    """One edit of all cells of a square image of `side` pixels, with `text` tokens."""
    return Shape(batch=1, height=side, width=side, text=text, region=(side // CELL) ** 2)


USUAL = square(1024, 512)
SMALL = square(64, 16)


@dataclass(frozen=True)
class Measured:
    """A graph of a stage. `name` is the stage, and the graph where it has several; `make` makes the
    module and its inputs."""

    name: str
    stage: str
    make: Make


@dataclass(frozen=True)
class Row:
    """`part` is a stage and its graph. `memory` is the largest number of bytes in use, with the
    weights; 0 without a GPU. `error` is the norm of the difference from the eager run in BF16, over
    that one's norm."""

    checkpoint: str
    part: str
    precision: str
    way: str
    seconds: Timing
    memory: int
    error: float


def main() -> None:
    options = parse()
    device = device_of(options.device)
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else "none"
    figures: dict[str, Any] = {"gpu": gpu, "torch": torch.__version__, "rows": [], "failed": {}}
    for name in options.checkpoints:
        large = (TINY if options.tiny else CHECKPOINTS)[name]
        for part in parts(large, device, SMALL if options.tiny else USUAL):
            try:
                for row in measure(name, part, device, options):
                    figures["rows"].append(asdict(row))
            except (RuntimeError, ValueError) as failure:  # no memory, or no kernel
                reason = (str(failure).splitlines() or [type(failure).__name__])[0]
                figures["failed"][f"{name} {part.name}"] = reason
                print(f"{name} {part.name}: not measured: {reason}", flush=True)
            save_json(options.json, figures)  # what is measured stays if the rest is cut off
    show(figures)
    if not figures["rows"]:
        sys.exit("no part could be measured")


def parts(large: Large, device: torch.device, shape: Shape) -> Iterator[Measured]:
    """Every graph of a checkpoint, on `device`, with inputs of a `shape`."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), large)
        checkpoint = Checkpoint(Path(folder))
        for stage in stages_of(checkpoint.family):
            if stage.name in AUTOENCODER:
                make = partial(autoencoder, stage.name, large, device, shape.height)
                yield Measured(stage.name, stage.name, make)
                continue
            with torch.device("meta"):
                names = [graph.name for graph in stage.part().graphs(checkpoint, outline=True)]
            for number, name in enumerate(names):
                label = stage.name if len(names) == 1 else f"{stage.name} {name}"
                make = partial(graph_of, stage.part(), number, checkpoint, device, shape)
                yield Measured(label, stage.name, make)


def graph_of(
    part: Part, number: int, checkpoint: Checkpoint, device: torch.device, shape: Shape
) -> tuple[nn.Module, Inputs]:
    """A graph of a part in bfloat16, with random weights."""
    torch.manual_seed(0)
    with device:
        graph = part.graphs(checkpoint, outline=True)[number]
    return graph.module, {name: value.to(device) for name, value in graph.inputs(shape).items()}


def autoencoder(
    stage: str, large: Large, device: torch.device, side: int
) -> tuple[nn.Module, Inputs]:
    """The encoder or the decoder in bfloat16, with random weights, for a picture of `side` pixels
    in each direction."""
    torch.manual_seed(0)
    with parameters_in(torch.bfloat16), device:
        networks = {"vae": large.vae().eval().requires_grad_(False)}
        pixels = torch.rand(1, 3, side, side) * 2 - 1
    if stage == "vae_encoder":
        return encoder(networks, {}), {"pixels": pixels}
    with torch.no_grad():
        latents = encoder(dict(networks), {})(pixels)
    return decoder(networks, {}), {"latents": torch.randn_like(latents)}


@torch.no_grad()
def measure(
    checkpoint: str, part: Measured, device: torch.device, options: argparse.Namespace
) -> Iterator[Row]:
    """The rows of one graph, printed as they come."""
    release(device)
    module, inputs = part.make()
    run = partial(outputs_of, module, inputs)
    exact = run()
    policy = POLICIES.get(part.stage)  # none for the autoencoder, which is wide in every lane
    for precision in options.precisions:
        if precision == "fp8" and not (policy and narrow(module, run, policy)):
            continue
        for way in options.ways:
            if way == "CUDA graph" and device.type != "cuda":
                continue
            runner = ready(way, module, inputs, device)
            error = distance(runner(), exact)
            peak(device, reset=True)
            seconds = timed(runner, device, options.count)
            row = Row(checkpoint, part.name, precision, way, seconds, peak(device), error)
            print(
                f"{checkpoint:16} {part.name:18} {precision:4} {way:10} {seconds.median:.4f} s, "
                f"{row.memory / 1e9:.1f} GB, error {error:.4f}",
                flush=True,
            )
            yield row


def outputs_of(module: Callable[..., Any], inputs: Inputs) -> tuple[Tensor, ...]:
    outputs = module(**inputs)
    return outputs if isinstance(outputs, tuple) else (outputs,)


def ready(way: str, module: nn.Module, inputs: Inputs, device: torch.device) -> Run:
    """A run of the module in this way, compiled or captured before it returns."""
    if way == "compiled":
        torch_compile.prepare()
        torch._dynamo.reset()
        run = partial(outputs_of, torch.compile(module), inputs)
        run()
        return run
    run = partial(outputs_of, module, inputs)
    return captured(run) if way == "CUDA graph" else run


def captured(run: Run) -> Run:
    """The kernels of one run as a CUDA graph, after the warm-up that torch asks for."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = run()

    def replay() -> tuple[Tensor, ...]:
        graph.replay()
        return outputs

    return replay


def distance(outputs: tuple[Tensor, ...], exact: tuple[Tensor, ...]) -> float:
    """The largest relative error of an output, by norms."""
    return max(
        float((ours.float() - theirs.float()).norm() / theirs.float().norm().clamp_min(1e-12))
        for ours, theirs in zip(outputs, exact)
    )


def peak(device: torch.device, reset: bool = False) -> int:
    """The largest number of bytes in use since the last reset."""
    if device.type != "cuda":
        return 0
    if reset:
        torch.cuda.reset_peak_memory_stats(device)
    return torch.cuda.max_memory_allocated(device)


def show(figures: dict[str, Any]) -> None:
    table = Table("checkpoint", "part", "precision", "way", "s", "GB", "error")
    for row in figures["rows"]:
        table.add_row(
            *(row[name] for name in ("checkpoint", "part", "precision", "way")),
            f"{row['seconds']['median']:.4f}",
            f"{row['memory'] / 1e9:.1f}",
            f"{row['error']:.4f}",
        )
    Console(width=110).print(table)


def parse() -> argparse.Namespace:
    names = tuple(TINY)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.parts", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--tiny", action="store_true", help="tiny networks")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--checkpoints", type=some_of(names), default=names, help=",".join(names))
    parser.add_argument("--precisions", type=some_of(PRECISIONS), default=PRECISIONS)
    parser.add_argument("--ways", type=some_of(WAYS), default=WAYS, help=",".join(WAYS))
    parser.add_argument("--count", type=int, default=7, help="samples of each figure")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
