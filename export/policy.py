"""Which tier a linear layer's weight has in which lane, by the name of its torch module."""

from __future__ import annotations

import re
from enum import Enum


class Tier(str, Enum):
    """The format of one weight, and of the activations that meet it."""

    BF16 = "bf16"
    FP8 = "fp8"
    NVFP4 = "nvfp4"


# the first rule that matches counts; what no rule names stays BF16: embedders, final layers, VAE, parser, connector
BLOCK = r"(^|\.)(single_)?transformer_blocks\."
MODULATION = r"(^|\.)(double|single)_stream_modulation|transformer_blocks\.\d+\.norm\d*(_context)?\.linear$"
RULES: dict[str, tuple[tuple[str, Tier], ...]] = {
    "bf16": (),
    "fp8": ((MODULATION, Tier.FP8), (BLOCK, Tier.FP8)),
    "fp4": ((MODULATION, Tier.FP8), (BLOCK, Tier.NVFP4)),
}


def tier_of(module: str, precision: str) -> Tier:
    """The tier of the linear layer `module` in the lane `precision`."""
    return next((tier for pattern, tier in RULES[precision] if re.search(pattern, module)), Tier.BF16)
