"""Conversion of adapters of other trainers by diffusers' own converters. Imports torch."""

from __future__ import annotations

from pathlib import Path

import diffusers.loaders as loaders
import numpy as np
from safetensors.torch import load_file

from retouch_export.adapter import AdapterError, Held
from retouch_export.silence import quiet

# class by family whose `lora_state_dict` converts the layouts of its trainers
LOADERS = {
    "flux-kontext": "FluxLoraLoaderMixin",
    "qwen-image-edit": "QwenImageLoraLoaderMixin",
    "qwen-image-21": "QwenImageLoraLoaderMixin",
    "flux2-klein": "Flux2LoraLoaderMixin",
    "flux2-klein-kv": "Flux2LoraLoaderMixin",
    "flux2-dev": "Flux2LoraLoaderMixin",
    "instructx": "Flux2LoraLoaderMixin",
}


def converted(file: Path, family: str) -> dict[str, Held]:
    """The file's tensors and alphas under diffusers' names; AdapterError when they cannot be
    converted.

    All are in memory, because converters split and join matrices.
    """
    loader = getattr(loaders.lora_pipeline, LOADERS[family])
    options = {"return_alphas": True} if family == "flux-kontext" else {}
    try:
        with quiet():
            result = loader.lora_state_dict(load_file(file), **options)
    except Exception as failure:  # converters raise errors of any type
        message = (str(failure).splitlines() or [type(failure).__name__])[0]
        raise AdapterError(
            f"diffusers cannot convert {file.name} for this checkpoint: {message[:200]}"
        ) from None
    tensors, alphas = result if isinstance(result, tuple) else (result, None)
    return {
        name: Held(np.asarray(value.float().numpy() if hasattr(value, "numpy") else value))
        for name, value in (tensors | (alphas or {})).items()
    }
