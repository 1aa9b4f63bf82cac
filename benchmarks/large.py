"""What the export of a large checkpoint takes: seconds, memory, bytes of every lane's weights.

    python -m benchmarks.large flux        # FLUX.1 Kontext's 12 B parameters, by its config alone
    python -m benchmarks.large random      # 1.5 B random parameters, exported and quantised for real
    python -m benchmarks.large klein       # FLUX.2 klein's 9 B parameters, by its config
    python -m benchmarks.large instructx   # InstructX with a transformer of that size, by its config
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx_ir as ir
from diffusers import Flux2Transformer2DModel, FluxTransformer2DModel
from rich.console import Console
from rich.table import Table
from safetensors.numpy import save_file
from torch._subclasses import FakeTensorMode

from export.quantise import bytes_by_tier
from retouch.layout import CHANNELS

# FLUX.2 klein 9B: 8 + 24 blocks of 32 heads, told by three hidden states of a Qwen3 8B; the rest is as in FLUX.2
KLEIN = {"num_layers": 8, "num_single_layers": 24, "num_attention_heads": 32, "joint_attention_dim": 3 * 4096,
         "guidance_embeds": False}
SCHEDULER = {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}
VAE = {"block_out_channels": [128, 256, 512, 512], "latent_channels": 32}
QUERIES, SLOTS, BESIDE = 256, 4, 128 + 4 * 2 * CHANNELS  # channels of the source's token and of the layout
LANES = ("bf16", "fp8", "fp4")
SHARD = 1 << 30  # bytes


@dataclass(frozen=True)
class Case:
    """A checkpoint: its `pipeline`, the class and the config of its transformer, whether it gets `weights`, and the
    `parts` that an export of the transformer alone reads the config of."""

    pipeline: dict[str, object]
    network: type
    config: dict[str, object]
    weights: bool = False
    parts: dict[str, dict] = field(default_factory=dict)


KONTEXT = {"_class_name": "FluxKontextPipeline"}
PARTS = {"scheduler/scheduler_config.json": SCHEDULER, "vae/config.json": VAE}
CASES = {
    "flux": Case(KONTEXT, FluxTransformer2DModel, {"guidance_embeds": True}),  # the class's own defaults are FLUX.1's
    "random": Case(KONTEXT, FluxTransformer2DModel,
                   {"guidance_embeds": True, "num_layers": 3, "num_single_layers": 3}, weights=True),
    "klein": Case({"_class_name": "Flux2KleinKVPipeline"}, Flux2Transformer2DModel, KLEIN, parts=PARTS),
    "instructx": Case({"_class_name": "RetouchPipeline", "prediction": "velocity", "default_steps": 8},
                      Flux2Transformer2DModel, KLEIN | {"in_channels": 128 + BESIDE, "out_channels": 128},
                      parts=PARTS | {"parser_heads/config.json": {"queries": QUERIES, "slots": SLOTS}}),
}


def checkpoint(folder: Path, case: Case) -> int:
    """The checkpoint of a case in `folder`, with random bfloat16 weights in shards or without any; its transformer's
    number of parameters."""
    with FakeTensorMode():
        model = case.network(**case.config)
        shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    configs = {"model_index.json": case.pipeline, "transformer/config.json": dict(model.config)} | case.parts
    for name, config in configs.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(config))
    if case.weights:
        _shards(folder / "transformer", shapes)
    return sum(int(np.prod(shape)) for shape in shapes.values())


def _shards(folder: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    rng, places, held, size = np.random.default_rng(0), {}, {}, 0
    for index, (name, shape) in enumerate(shapes.items(), start=1):
        held[name] = (rng.standard_normal(shape, np.float32) / max(1, shape[-1]) ** 0.5).astype(ml_dtypes.bfloat16)
        size += held[name].nbytes
        if size > SHARD or index == len(shapes):
            file = f"diffusion_pytorch_model-{len(set(places.values())) + 1:05d}.safetensors"
            save_file(held, folder / file)
            places |= dict.fromkeys(held, file)
            held, size = {}, 0
    (folder / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


def ranges(case: Case) -> dict[str, dict[str, float]]:
    """A calibration that allows every layer the same: random weights have nothing to calibrate."""
    with FakeTensorMode():
        names = [name for name, _ in case.network(**case.config).named_modules()]
    return {"step": dict.fromkeys(names, 8.0)}


def export(source: Path, out: Path, options: list[str]) -> tuple[float, float]:
    """Seconds and the largest resident memory, in bytes, of an export with all lanes."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-W", "ignore", "-m", "export", str(source), "--repository", str(out),
                    "--precision", ",".join(LANES), *options], check=True)
    return time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024.0


def measure(which: str) -> dict[str, object]:
    """Figures of one export, under stable names."""
    case = CASES[which]
    with tempfile.TemporaryDirectory() as folder:
        source, out, calibration = Path(folder, "checkpoint"), Path(folder, "repository"), Path(folder, "ranges.json")
        parameters = checkpoint(source, case)
        calibration.write_text(json.dumps(ranges(case)))
        options = ["--calibration", str(calibration)] if case.weights else ["--weightless"]
        seconds, peak = export(source, out, options)
        graphs = {lane: ir.load(out / f"denoiser_{lane}" / "1" / "step.onnx") for lane in LANES}
        return {"parameters": parameters, "seconds": seconds, "peak_bytes": peak,
                "bytes": {lane: bytes_by_tier(graph) for lane, graph in graphs.items()}}


def show(figures: dict[str, object]) -> None:
    table = Table(title=f"{figures['parameters'] / 1e9:.2f} B parameters: {figures['seconds']:.0f} s for all lanes, "
                        f"{figures['peak_bytes'] / 1e9:.2f} GB of memory at most")
    for column in ("lane", "GB of weights", "bf16", "fp8", "nvfp4"):
        table.add_column(column, justify="left" if column == "lane" else "right")
    for lane, tiers in figures["bytes"].items():
        table.add_row(lane, *(f"{size / 1e9:.2f}" for size in (sum(tiers.values()), *map(
            lambda tier: tiers.get(tier, 0), ("bf16", "fp8", "nvfp4")))))
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=tuple(CASES))
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    chosen = parser.parse_args()
    figures = measure(chosen.which)
    show(figures)
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
