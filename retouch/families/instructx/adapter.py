"""The language model's adapter in a checkpoint, which lies beside its base."""

from __future__ import annotations

import copy

from torch import nn
from transformers import Qwen2_5_VLForConditionalGeneration

ADAPTER = "text_encoder_lora"


def without_adapter(
    model: Qwen2_5_VLForConditionalGeneration,
) -> Qwen2_5_VLForConditionalGeneration:
    """A model with the base's weights alone."""
    kept = ((name, value) for name, value in model.state_dict().items() if ".lora_" not in name)
    weights = {name.replace(".base_layer", ""): value for name, value in kept}
    base = type(model)(copy.deepcopy(model.config))
    base.load_state_dict(weights)
    nn.Module.to(base, model.dtype)  # in place; transformers' own has no type
    return base.eval()
