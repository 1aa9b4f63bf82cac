"""What the export of a large checkpoint takes: seconds, memory, bytes of every lane's weights.

    python -m benchmarks.large flux     # FLUX.1 Kontext's 12 B parameters, by its config alone
    python -m benchmarks.large qwen     # Qwen-Image-Edit's 20 B parameters, likewise
    python -m benchmarks.large klein    # FLUX.2 klein's 9 B, likewise
    python -m benchmarks.large instructx  # InstructX with a Qwen2.5-VL 3B, 256 meta-queries and 9 B, likewise
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    Flux2Transformer2DModel,
    FluxTransformer2DModel,
    QwenImageTransformer2DModel,
)
from rich.console import Console
from rich.table import Table
from safetensors.numpy import save_file
from torch._subclasses import FakeTensorMode

from export.quantise import bytes_by_tier
from retouch.layout import CHANNELS as LAYOUT
from training.labels import FIELDS


@dataclass(frozen=True)
class Large:
    """A checkpoint to be made: its pipeline, the class of its transformer with a config beyond the class's defaults,
    which are those of the real ones, with `weights` or without, the class and config of its `vae`, `more` that its
    model_index.json says, json files that an export reads, and the `only` part that is exported, or None."""

    pipeline: str
    kind: type
    config: dict[str, Any]
    vae: tuple[type, dict[str, Any]]
    weights: bool = False
    more: dict[str, Any] = field(default_factory=dict)
    files: dict[str, Any] = field(default_factory=dict)
    only: str | None = "denoiser"


CHANNELS = {"block_out_channels": (128, 256, 512, 512), "down_block_types": ("DownEncoderBlock2D",) * 4,
            "up_block_types": ("UpDecoderBlock2D",) * 4, "layers_per_block": 2}
KONTEXT_VAE = AutoencoderKL, CHANNELS | {"latent_channels": 16, "use_quant_conv": False, "use_post_quant_conv": False,
                                         "shift_factor": 0.1159, "scaling_factor": 0.3611}
FLUX = {"guidance_embeds": True}
# FLUX.2 klein 9B: 8 + 24 blocks of 32 heads, told by three hidden states of a Qwen3 8B; the rest is as in FLUX.2
KLEIN = {"num_layers": 8, "num_single_layers": 24, "num_attention_heads": 32, "joint_attention_dim": 3 * 4096,
         "guidance_embeds": False}
KLEIN_VAE = AutoencoderKLFlux2, {}
# InstructX: Qwen2.5-VL 3B as its config.json has it, and a transformer of klein's size on FLUX.1's latents, which sees the
# source's token and the layout beside its noise
QUERIES, SLOTS, TOKEN, SAID = 256, 4, 64, 4096
PARSER = {
    "model_type": "qwen2_5_vl", "image_token_id": 151655, "video_token_id": 151656, "vision_start_token_id": 151652,
    "vision_end_token_id": 151653, "tie_word_embeddings": True,
    "text_config": {
        "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
        "num_key_value_heads": 2, "vocab_size": 151936, "max_position_embeddings": 128000, "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}},
    "vision_config": {
        "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 2048, "patch_size": 14,
        "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 112, "fullatt_block_indexes": [7, 15, 23, 31]}}
PARSED = {"text_encoder/config.json": PARSER, "meta_queries/config.json": {"count": QUERIES, "width": 2048},
          "parser_heads/config.json": {"queries": QUERIES, "slots": SLOTS, "width": 2048,
                                       "fields": {name: list(words) for name, words in FIELDS.items()}}}
CHECKPOINTS = {
    "flux": Large("FluxKontextPipeline", FluxTransformer2DModel, FLUX, KONTEXT_VAE),
    "qwen": Large("QwenImageEditPlusPipeline", QwenImageTransformer2DModel, {}, (AutoencoderKLQwenImage, {})),
    "klein": Large("Flux2KleinKVPipeline", Flux2Transformer2DModel, KLEIN, KLEIN_VAE),
    "instructx": Large("RetouchPipeline", Flux2Transformer2DModel,
                       KLEIN | {"in_channels": 2 * TOKEN + SLOTS * 2 * LAYOUT, "out_channels": TOKEN,
                                "joint_attention_dim": SAID}, KONTEXT_VAE,
                       more={"prediction": "velocity", "default_steps": 8, "region_threshold": 0.5}, files=PARSED,
                       only=None),
    "random": Large("FluxKontextPipeline", FluxTransformer2DModel, FLUX | {"num_layers": 3, "num_single_layers": 3},
                    KONTEXT_VAE, weights=True),
}
LANES = ("bf16", "fp8", "fp4")
SHARD = 1 << 30  # bytes


def checkpoint(folder: Path, large: Large) -> int:
    """Make it in `folder`, with random bfloat16 weights in shards or without any; its number of parameters."""
    with FakeTensorMode():
        model = large.kind(**large.config)
        shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
        empty = large.vae[0](**large.vae[1])
    for name, part in {"transformer": model, "vae": empty}.items():
        part.save_config(folder / name)
    FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True).save_pretrained(folder / "scheduler")
    for name, told in ({"model_index.json": {"_class_name": large.pipeline} | large.more} | large.files).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(told))
    if large.weights:
        large.vae[0](**large.vae[1]).save_pretrained(folder / "vae")  # a preview's map is fitted to it
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


def ranges(large: Large) -> dict[str, dict[str, float]]:
    """A calibration that allows every layer the same: random weights have nothing to calibrate."""
    with FakeTensorMode():
        names = [name for name, _ in large.kind(**large.config).named_modules()]
    return {"step": dict.fromkeys(names, 8.0)}


def export(source: Path, out: Path, options: list[str]) -> tuple[float, float]:
    """Seconds and the largest resident memory, in bytes, of an export with all lanes."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-W", "ignore", "-m", "export", str(source), "--repository", str(out),
                    "--precision", ",".join(LANES), *options], check=True)
    return time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024.0


def measure(which: str) -> dict[str, object]:
    """Figures of one export, under stable names."""
    large = CHECKPOINTS[which]
    with tempfile.TemporaryDirectory() as folder:
        source, out, calibration = Path(folder, "checkpoint"), Path(folder, "repository"), Path(folder, "ranges.json")
        parameters = checkpoint(source, large)
        calibration.write_text(json.dumps(ranges(large)))
        options = ["--calibration", str(calibration)] if large.weights else ["--weightless"]
        seconds, peak = export(source, out, options + (["--only", large.only] if large.only else []))
        graphs = {lane: ir.load(out / f"denoiser_{lane}" / "1" / "step.onnx") for lane in LANES}
        parser = [sum(bytes_by_tier(ir.load(path)).values()) for path in sorted((out / "vl_parser" / "1").glob("*.onnx"))]
        return {"parameters": parameters, "seconds": seconds, "peak_bytes": peak, "parser_bytes": sum(parser),
                "bytes": {lane: bytes_by_tier(graph) for lane, graph in graphs.items()}}


def show(figures: dict[str, object]) -> None:
    table = Table(title=f"{figures['parameters'] / 1e9:.2f} B parameters: {figures['seconds']:.0f} s for all lanes, "
                        f"{figures['peak_bytes'] / 1e9:.2f} GB of memory at most")
    for column in ("lane", "GB of weights", "bf16", "fp8", "nvfp4"):
        table.add_column(column, justify="left" if column == "lane" else "right")
    for lane, tiers in figures["bytes"].items():
        table.add_row(lane, *(f"{size / 1e9:.2f}" for size in (sum(tiers.values()), *map(
            lambda tier: tiers.get(tier, 0), ("bf16", "fp8", "nvfp4")))))
    if figures["parser_bytes"]:
        table.caption = f"and the parser's {figures['parser_bytes'] / 1e9:.2f} GB"
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=CHECKPOINTS)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    chosen = parser.parse_args()
    figures = measure(chosen.which)
    show(figures)
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
