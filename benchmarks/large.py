"""What the export of a large checkpoint takes: seconds, memory, bytes of every lane's weights.

    python -m benchmarks.large flux     # FLUX.1 Kontext's 12 B parameters, by its config alone
    python -m benchmarks.large random   # 1.5 B random parameters, exported and quantised for real
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx_ir as ir
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel
from rich.console import Console
from rich.table import Table
from safetensors.numpy import save_file
from torch._subclasses import FakeTensorMode

from export.quantise import bytes_by_tier

FLUX = {"guidance_embeds": True}  # the class's own defaults are FLUX.1's
RANDOM = FLUX | {"num_layers": 3, "num_single_layers": 3}
VAE = {"block_out_channels": (128, 256, 512, 512), "down_block_types": ("DownEncoderBlock2D",) * 4,
       "up_block_types": ("UpDecoderBlock2D",) * 4, "layers_per_block": 2, "latent_channels": 16,
       "use_quant_conv": False, "use_post_quant_conv": False, "shift_factor": 0.1159, "scaling_factor": 0.3611}
LANES = ("bf16", "fp8", "fp4")
SHARD = 1 << 30  # bytes


def checkpoint(folder: Path, config: dict, weights: bool) -> int:
    """A FLUX.1 Kontext checkpoint of that config in `folder`, without its text encoders, with random weights, the
    transformer's in bfloat16 and in shards, or without any; the transformer's number of parameters."""
    with FakeTensorMode():
        model = FluxTransformer2DModel(**config)
        shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    model.save_config(folder / "transformer")
    FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True).save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "FluxKontextPipeline"}))
    vae = AutoencoderKL(**VAE)
    if not weights:
        vae.save_config(folder / "vae")
    else:
        vae.save_pretrained(folder / "vae")
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


def ranges(config: dict) -> dict[str, dict[str, float]]:
    """A calibration that allows every layer the same: random weights have nothing to calibrate."""
    with FakeTensorMode():
        names = [name for name, _ in FluxTransformer2DModel(**config).named_modules()]
    return {"step": dict.fromkeys(names, 8.0)}


def export(source: Path, out: Path, options: list[str]) -> tuple[float, float]:
    """Seconds and the largest resident memory, in bytes, of an export with all lanes."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-W", "ignore", "-m", "export", str(source), "--repository", str(out),
                    "--only", "denoiser", "--precision", ",".join(LANES), *options], check=True)
    return time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024.0


def measure(which: str) -> dict[str, object]:
    """Figures of one export, under stable names."""
    config = FLUX if which == "flux" else RANDOM
    with tempfile.TemporaryDirectory() as folder:
        source, out, calibration = Path(folder, "checkpoint"), Path(folder, "repository"), Path(folder, "ranges.json")
        parameters = checkpoint(source, config, weights=which == "random")
        calibration.write_text(json.dumps(ranges(config)))
        options = ["--weightless"] if which == "flux" else ["--calibration", str(calibration)]
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
    parser.add_argument("which", choices=("flux", "random"))
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    chosen = parser.parse_args()
    figures = measure(chosen.which)
    show(figures)
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
