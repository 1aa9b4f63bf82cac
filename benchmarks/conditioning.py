"""The error of the conditioning by text encoders in fp8 and fp4, against bf16.

    python -m benchmarks.conditioning [--sizes tiny,large] [--json PATH]

The modules are those that `retouch export` traces, with random weights and random tokens. Layers
are narrow by the policy of the stage `vl_parser`; NVFP4's block scales are searched for. An error
is the norm of the difference of a graph's output, over the norm of the output in bf16. Random
weights have no outliers, so trained ones have other errors."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5EncoderModel,
)

from benchmarks.checkpoints import CHECKPOINTS, PARSER, Large
from benchmarks.narrowing import narrow
from benchmarks.options import some_of
from benchmarks.parts import Measured, distance, outputs_of, parts, square
from benchmarks.results import save_json
from benchmarks.tiny_checkpoints import TINY
from retouch_export.policy import POLICIES

STAGE = "vl_parser"
PRECISIONS = ("fp8", "fp4")
CPU = torch.device("cpu")
VOCABULARY = 32_000
SHAPE = square(128, 64)


def _t5() -> nn.Module:
    """T5-XXL's layers, 3 of 24."""
    return T5EncoderModel(
        T5Config(
            vocab_size=VOCABULARY,
            d_model=4096,
            d_kv=64,
            d_ff=10240,
            num_layers=3,
            num_heads=64,
            feed_forward_proj="gated-gelu",
        )
    )


def _qwen3() -> nn.Module:
    """A Qwen3 0.6B, of 28 layers: klein takes hidden states up to the 27th."""
    return Qwen3ForCausalLM(
        Qwen3Config(
            hidden_size=1024,
            intermediate_size=3072,
            num_hidden_layers=28,
            num_attention_heads=16,
            num_key_value_heads=8,
            head_dim=128,
            vocab_size=VOCABULARY,
            tie_word_embeddings=True,
        )
    )


def _qwen_vl() -> nn.Module:
    """Qwen2.5-VL 7B's layers, 2 of 28, and 2 of its vision tower's 32."""
    text = PARSER["text_config"] | {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 2,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": VOCABULARY,
    }
    tower = {"out_hidden_size": 3584, "depth": 2, "fullatt_block_indexes": [1]}
    vision = PARSER["vision_config"] | tower
    tokens = {"image_token_id": 151, "vision_start_token_id": 153, "vision_end_token_id": 154}
    more = {"video_token_id": 152, "text_config": text, "vision_config": vision}
    config: dict[str, Any] = PARSER | tokens | more
    return Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**config))


def _with(name: str, **networks: Any) -> Large:
    """A checkpoint of real sizes with other text encoders, and a tiny one's transformer."""
    some = (
        CHECKPOINTS[name].networks | networks | {"transformer": TINY[name].networks["transformer"]}
    )
    return replace(CHECKPOINTS[name], networks=some, vae=TINY[name].vae)


LARGE = {
    "kontext": _with("kontext", text_encoder_2=_t5),
    "flux2-klein": _with("flux2-klein", text_encoder=_qwen3),
    "qwen-image-edit": _with("qwen-image-edit", text_encoder=_qwen_vl),
}
SIZES = {"tiny": TINY, "large": LARGE}


@dataclass(frozen=True)
class Row:
    """`layers` is how many linear layers the precision narrows, `parameters` those of the graph's
    module."""

    size: str
    checkpoint: str
    graph: str
    parameters: int
    precision: str
    layers: int
    error: float


def main() -> None:
    options = parse()
    rows = []
    for size in options.sizes:
        for name in options.checkpoints:
            for part in parts(SIZES[size][name], CPU, SHAPE):
                if part.stage == STAGE:
                    rows += measure(size, name, part)
                    save_json(options.json, {"machine": machine(), "rows": list(map(asdict, rows))})
    show(rows)


@torch.no_grad()
def measure(size: str, checkpoint: str, part: Measured) -> Iterator[Row]:
    """The rows of one graph, printed as they come; none where no layer is narrow."""
    exact = None
    for precision in PRECISIONS:
        module, inputs = part.make()  # the same weights every time
        run = partial(outputs_of, module, inputs)
        exact = exact or run()
        parameters = sum(parameter.numel() for parameter in module.parameters())
        layers = narrow(module, run, POLICIES[part.stage], precision)
        if layers:
            graph = part.name.removeprefix(f"{STAGE} ")
            error = distance(run(), exact)
            row = Row(size, checkpoint, graph, parameters, precision, layers, error)
            print(f"{size:5} {checkpoint:16} {graph:10} {precision} {error:.2%}", flush=True)
            yield row


def machine() -> dict[str, str]:
    import diffusers
    import transformers

    versions = {"torch": torch, "transformers": transformers, "diffusers": diffusers}
    about = {name: module.__version__ for name, module in versions.items()}
    return {"processor": platform.processor() or platform.machine(), **about}


def show(rows: list[Row]) -> None:
    table = Table("size", "checkpoint", "graph", "parameters", "narrow layers", "fp8", "fp4")
    errors = {(row.size, row.checkpoint, row.graph, row.precision): row.error for row in rows}
    for row in rows:
        if row.precision == PRECISIONS[0]:
            key = row.size, row.checkpoint, row.graph
            cells = (f"{errors[(*key, precision)]:.2%}" for precision in PRECISIONS)
            table.add_row(*key, f"{row.parameters / 1e6:.1f} M", str(row.layers), *cells)
    Console(width=110).print(table)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.conditioning", description=__doc__.splitlines()[0]
    )
    sizes = tuple(SIZES)
    names = tuple(LARGE)
    parser.add_argument("--sizes", type=some_of(sizes), default=sizes, help=",".join(sizes))
    parser.add_argument("--checkpoints", type=some_of(names), default=names, help=",".join(names))
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
