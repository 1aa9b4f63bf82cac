"""Adapters of other trainers, turned into diffusers' layout by diffusers' own converters. Loads
torch."""

from __future__ import annotations

from pathlib import Path

import diffusers.loaders as loaders
import numpy as np
from safetensors.torch import load_file

from retouch_export.adapter import AdapterError, Held
from retouch_export.silence import quiet

# the classes whose `lora_state_dict` knows the layouts of a family's trainers
LOADERS = {
    "flux-kontext": "FluxLoraLoaderMixin",
    "qwen-image-edit": "QwenImageLoraLoaderMixin",
    "flux2-klein-kv": "Flux2LoraLoaderMixin",
    "instructx": "Flux2LoraLoaderMixin",
}


def converted(file: Path, family: str) -> dict[str, Held]:
    """The file's tensors under diffusers' names, alphas among them; AdapterError when no converter
    takes them.

    They are in memory, all of them: converters cut and join matrices.
    """
    loader = getattr(loaders.lora_pipeline, LOADERS[family])
    options = {"return_alphas": True} if family == "flux-kontext" else {}
    try:
        with quiet():
            found = loader.lora_state_dict(load_file(file), **options)
    except Exception as failure:  # converters raise whatever their assumptions break on
        words = (str(failure).splitlines() or [type(failure).__name__])[0]
        raise AdapterError(
            f"diffusers cannot convert {file.name} for this checkpoint: {words[:200]}"
        ) from None
    tensors, alphas = found if isinstance(found, tuple) else (found, None)
    return {
        name: Held(np.asarray(value.float().numpy() if hasattr(value, "numpy") else value))
        for name, value in (tensors | (alphas or {})).items()
    }
