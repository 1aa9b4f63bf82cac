"""The quantisation policy: the tier of a linear layer in each lane, by its module name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum


class Tier(str, Enum):
    """The number format of a layer's weight and of its activations."""

    BF16 = "bf16"
    FP8 = "fp8"
    NVFP4 = "nvfp4"


# the first matching rule counts; layers without a rule stay BF16: embedders, final layers, VAE,
# parser, connector
BLOCK = r"(?:^|\.)(single_)?transformer_blocks\.(\d+)\."
MODULATION = (
    r"(^|\.)(double|single)_stream_modulation|transformer_blocks\.\d+\.norm\d*(_context)?\.linear$"
    r"|transformer_blocks\.\d+\.(img|txt)_mod\.1$"
)
# Qwen-Image: one E4M3 scale a tensor is too coarse for its modulations and the last layer of its
# image MLP (SGLang's ablation for FP8); NVIDIA's recipe for NVFP4 has BF16 blocks at both ends
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
    """The tiers of all linear layers of a network, by module.

    The last `tail` NVFP4 blocks are FP8, because no later block compensates their error. In the
    lane fp4, Qwen-Image's blocks at both ends are BF16 and do not count for `tail`."""
    result = {module: tier_of(module, precision) for module in modules}
    if precision == "fp4" and any(re.search(QWEN_DELICATE, module) for module in result):
        blocks = _places(result)
        order = sorted(set(blocks.values()))
        ends = {*order[:QWEN_ENDS], *order[-QWEN_ENDS:]}
        result |= {module: Tier.BF16 for module, place in blocks.items() if place in ends}
    blocks = _places(module for module, tier in result.items() if tier is Tier.NVFP4)
    last = sorted(set(blocks.values()))[-tail:] if tail else []
    return result | {module: Tier.FP8 for module, place in blocks.items() if place in last}


def _places(modules: Iterable[str]) -> dict[str, tuple[bool, int]]:
    """The positions of the blocks of modules that are in one: single-stream blocks come last."""
    matches = {module: re.search(BLOCK, module) for module in modules}
    return {module: (bool(match[1]), int(match[2])) for module, match in matches.items() if match}
