"""Sizes of a checkpoint's networks, and of the transformer in each lane, from shapes alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from retouch_export.checkpoint import Checkpoint
from retouch_export.policy import TRANSFORMER, Policy, Tier, tiers
from retouch_export.recipe import Recipe
from retouch_export.safetensors_index import Stored
from retouch_export.scales import BLOCK

# two names of T5's embedding, of which a checkpoint may have either
EMBEDDINGS = ("shared.weight", "encoder.embed_tokens.weight")
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Network:
    """Counts of a network's parameters: in all, and by stored type.

    Without weights they are counted by the config, and `dtypes` is empty."""

    name: str
    kind: str
    parameters: int
    dtypes: dict[str, int]


def measured(checkpoint: Checkpoint, name: str) -> tuple[Network, Shapes]:
    """A component and the shapes of its parameters; CheckpointError without both weights and
    config."""
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
        from retouch_export.meta_init import outline  # imports torch

        config = checkpoint.json(f"{name}/config.json")
        kind = kind or str(config.get("_class_name", ""))
        shapes = outline(library, kind, config)
    return Network(name, kind, sum(map(math.prod, shapes.values())), dict(dtypes)), shapes


def parameters(tensors: Mapping[str, Stored]) -> dict[str, Stored]:
    """The parameters among stored tensors: no integer buffers, and an embedding with two names only
    once."""
    return {
        name: tensor
        for name, tensor in tensors.items()
        if not tensor.is_count and not (name == EMBEDDINGS[1] and EMBEDDINGS[0] in tensors)
    }


def lane_bytes(shapes: Shapes, precision: str, policy: Policy = TRANSFORMER) -> dict[str, int]:
    """Bytes of a network's weights by tier, with a stage's policy of an export
    (`export/retouch_export/policy.py`).

    A number takes 2 bytes in BF16, 1 in FP8, and ½ in NVFP4, plus a byte for every 16 along a row.
    The scale of a tensor, one number, is not counted.
    """
    linear = {
        name.removesuffix(".weight"): shape
        for name, shape in shapes.items()
        if name.endswith(".weight") and len(shape) == 2
    }
    tier_of = tiers(linear, precision, Recipe().tail, policy)
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
