"""How large the networks of a checkpoint are, and the transformer in each lane: by shapes, without
reading a weight."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from retouch_export.checkpoint import Checkpoint
from retouch_export.formats import BLOCK
from retouch_export.policy import Tier, tiers
from retouch_export.recipe import Recipe
from retouch_export.safetensors_index import Stored

EMBEDDINGS = (
    "shared.weight",
    "encoder.embed_tokens.weight",
)  # T5's, of which a checkpoint may hold either
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Network:
    """`parameters` are numbers, `dtypes` how many of each type are stored; without weights they are
    counted by the config, and `dtypes` is empty."""

    name: str
    kind: str
    parameters: int
    dtypes: dict[str, int]


def measured(checkpoint: Checkpoint, name: str) -> tuple[Network, Shapes]:
    """A component and the shapes of its parameters; CheckpointError when there are neither weights
    nor a config."""
    library, kind = checkpoint.components.get(name, ("diffusers", ""))
    folder = checkpoint.file(name)
    dtypes = Counter()
    if any(folder.glob("*.safetensors*")):
        tensors = parameters(checkpoint.stored(name))
        shapes = {key: tensor.shape for key, tensor in tensors.items()}
        for tensor in tensors.values():
            dtypes[tensor.kind] += tensor.count
        kind = kind or str(checkpoint.json(f"{name}/config.json").get("_class_name", ""))
    else:
        from retouch_export.meta_init import outline  # loads torch

        config = checkpoint.json(f"{name}/config.json")
        kind = kind or str(config.get("_class_name", ""))
        shapes = outline(library, kind, config)
    return Network(name, kind, sum(map(math.prod, shapes.values())), dict(dtypes)), shapes


def parameters(tensors: Mapping[str, Stored]) -> dict[str, Stored]:
    """Without buffers of whole numbers, and with an embedding once that is stored under both of its
    names."""
    return {
        name: tensor
        for name, tensor in tensors.items()
        if not tensor.is_count and not (name == EMBEDDINGS[1] and EMBEDDINGS[0] in tensors)
    }


def lane_bytes(shapes: Shapes, precision: str) -> dict[str, int]:
    """Bytes of a transformer's weights by tier: 2 a number in BF16, 1 in FP8, and in NVFP4 a half
    and a byte for every 16 along a row. The tier of a linear layer is that of its module in
    `export/retouch_export/policy.py`, the same as at export.

    A tensor's own scale, one number, is not counted.
    """
    linear = {
        name.removesuffix(".weight"): shape
        for name, shape in shapes.items()
        if name.endswith(".weight") and len(shape) == 2
    }
    tier_of = tiers(linear, precision, Recipe().tail)
    total: Counter[str] = Counter()
    for name, shape in shapes.items():
        tier = (
            tier_of.get(name.removesuffix(".weight"), Tier.BF16)
            if name.endswith(".weight")
            else Tier.BF16
        )
        total[tier.value] += _bytes(shape, tier)
    return dict(total)


def _bytes(shape: tuple[int, ...], tier: Tier) -> int:
    count = math.prod(shape)
    if tier is Tier.BF16:
        return 2 * count
    return count if tier is Tier.FP8 else count // 2 + shape[0] * math.ceil(shape[1] / BLOCK)
