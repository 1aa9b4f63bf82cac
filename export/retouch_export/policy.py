"""Which tier a linear layer's weight has in which lane, by the name of its torch module."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum


class Tier(str, Enum):
    """The format of one weight, and of the activations that meet it."""

    BF16 = "bf16"
    FP8 = "fp8"
    NVFP4 = "nvfp4"


# the first rule that matches counts; what no rule names stays BF16: embedders, final layers, VAE,
# parser, connector
BLOCK = r"(?:^|\.)(single_)?transformer_blocks\.(\d+)\."
MODULATION = (
    r"(^|\.)(double|single)_stream_modulation|transformer_blocks\.\d+\.norm\d*(_context)?\.linear$"
    r"|transformer_blocks\.\d+\.(img|txt)_mod\.1$"
)
# Qwen-Image: one E4M3 scale a tensor cannot hold its modulations and what its image stream's MLP
# ends with, as SGLang's ablation for FP8 found; the blocks at both ends are BF16 in NVIDIA's recipe
# for NVFP4
QWEN_DELICATE = r"transformer_blocks\.\d+\.((img|txt)_mod\.1|img_mlp\.net\.2)$"
QWEN_ENDS = 2
RULES: dict[str, tuple[tuple[str, Tier], ...]] = {
    "bf16": (),
    "fp8": ((QWEN_DELICATE, Tier.BF16), (MODULATION, Tier.FP8), (BLOCK, Tier.FP8)),
    "fp4": ((MODULATION, Tier.FP8), (BLOCK, Tier.NVFP4)),
}


def tier_of(module: str, precision: str) -> Tier:
    """The tier of the linear layer `module` in the lane `precision`."""
    return next(
        (tier for pattern, tier in RULES[precision] if re.search(pattern, module)), Tier.BF16
    )


def tiers(modules: Iterable[str], precision: str, tail: int = 0) -> dict[str, Tier]:
    """Of every linear layer of a network; its `tail` last blocks are FP8 where they would be NVFP4:
    no block after them makes up for what they lose. In the lane fp4, Qwen-Image's blocks at the
    ends are BF16 before that is counted."""
    found = {module: tier_of(module, precision) for module in modules}
    if precision == "fp4" and any(re.search(QWEN_DELICATE, module) for module in found):
        blocks = {module: _place(module) for module in found if re.search(BLOCK, module)}
        order = sorted(set(blocks.values()))
        ends = {*order[:QWEN_ENDS], *order[-QWEN_ENDS:]}
        found |= {module: Tier.BF16 for module, place in blocks.items() if place in ends}
    blocks = {module: _place(module) for module, tier in found.items() if tier is Tier.NVFP4}
    last = sorted(set(blocks.values()))[-tail:] if tail else []
    return found | {module: Tier.FP8 for module, place in blocks.items() if place in last}


def _place(module: str) -> tuple[bool, int]:
    """Of a block in its network: single-stream blocks come after the others."""
    single, number = re.search(BLOCK, module).groups()
    return bool(single), int(number)
