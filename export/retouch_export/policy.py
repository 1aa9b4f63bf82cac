"""The quantisation policy: the tier of a linear layer in each lane, by its stage and module name.

The autoencoder is bfloat16 in every lane."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Tier(str, Enum):
    """The number format of a layer's weight and of its activations."""

    BF16 = "bf16"
    FP8 = "fp8"
    NVFP4 = "nvfp4"


Rules = tuple[tuple[str, Tier], ...]


@dataclass(frozen=True)
class Policy:
    """The tiers of one stage's layers.

    In each lane the first matching rule counts, and layers without a rule stay BF16. `block`
    matches the name of a module in a block, with the block's `index`; blocks with a group `late`
    come after the others."""

    rules: dict[str, Rules]
    block: str


# the transformer: embedders and final layers stay BF16
BLOCK = r"(?:^|\.)(?P<late>single_)?transformer_blocks\.(?P<index>\d+)\."
MODULATION = (
    r"(^|\.)(double|single)_stream_modulation|transformer_blocks\.\d+\.norm\d*(_context)?\.linear$"
    r"|transformer_blocks\.\d+\.(img|txt)_mod\.1$"
)
# Qwen-Image: one E4M3 scale a tensor is too coarse for its modulations and the last layer of its
# image MLP (SGLang's ablation for FP8); NVIDIA's recipe for NVFP4 has BF16 blocks at both ends
QWEN_DELICATE = r"transformer_blocks\.\d+\.((img|txt)_mod\.1|img_mlp\.net\.2)$"
QWEN_ENDS = 2
TRANSFORMER = Policy(
    {
        "bf16": (),
        "fp8": ((QWEN_DELICATE, Tier.BF16), (MODULATION, Tier.FP8), (BLOCK, Tier.FP8)),
        "fp4": ((MODULATION, Tier.FP8), (BLOCK, Tier.NVFP4)),
    },
    BLOCK,
)

# language models: the vision tower, embeddings, meta-queries and heads stay wide
LAYER = r"(?:^|\.)(?:layers|block)\.(?P<index>\d+)\."
CLIP = r"(?:^|\.)encoder\.layers\.\d+\."  # a vector of the whole sentence, by a small network
# its input has outliers, and its output is the residual's
MLP_OUT = r"(?:^|\.)(?:layers|block)\.\d+\.(?:.*\.)?(?:down_proj|wo)$"
LANGUAGE = Policy(
    {
        "bf16": (),
        "fp8": ((LAYER, Tier.FP8),),
        "fp4": ((CLIP, Tier.FP8), (MLP_OUT, Tier.FP8), (LAYER, Tier.NVFP4)),
    },
    LAYER,
)

# a small network, whose whole output is the conditioning
EVERY = ""
CONNECTOR = Policy({"bf16": (), "fp8": ((EVERY, Tier.FP8),), "fp4": ((EVERY, Tier.FP8),)}, LAYER)

POLICIES = {"denoiser": TRANSFORMER, "vl_parser": LANGUAGE, "connector": CONNECTOR}  # by stage


def tier_of(module: str, precision: str, policy: Policy = TRANSFORMER) -> Tier:
    """The tier of the linear layer `module` in the lane `precision`."""
    return next(
        (tier for pattern, tier in policy.rules[precision] if re.search(pattern, module)),
        Tier.BF16,
    )


def tiers(
    modules: Iterable[str], precision: str, tail: int = 0, policy: Policy = TRANSFORMER
) -> dict[str, Tier]:
    """The tiers of all linear layers of a network, by module.

    The last `tail` NVFP4 blocks are FP8, because no later block compensates their error. In the
    lane fp4, Qwen-Image's blocks at both ends are BF16 and do not count for `tail`."""
    result = {module: tier_of(module, precision, policy) for module in modules}
    if precision == "fp4" and any(re.search(QWEN_DELICATE, module) for module in result):
        blocks = _places(result, policy)
        order = sorted(set(blocks.values()))
        ends = {*order[:QWEN_ENDS], *order[-QWEN_ENDS:]}
        result |= {module: Tier.BF16 for module, place in blocks.items() if place in ends}
    narrow = [module for module, tier in result.items() if tier is Tier.NVFP4]
    blocks = _places(narrow, policy)
    last = sorted(set(blocks.values()))[-tail:] if tail else []
    return result | {module: Tier.FP8 for module, place in blocks.items() if place in last}


def _places(modules: Iterable[str], policy: Policy) -> dict[str, tuple[bool, int]]:
    """The positions of the blocks of modules that are in one."""
    matches = {module: re.search(policy.block, module) for module in modules}
    return {
        module: (bool(match.groupdict().get("late")), int(match["index"]))
        for module, match in matches.items()
        if match
    }
