"""A network's parameters by its config alone, where a checkpoint has no weights yet. Loads torch;
nothing is allocated."""

from __future__ import annotations

import importlib
from typing import Any

import torch

from retouch_export.checkpoint_files import CheckpointError
from retouch_export.silence import quiet

LIBRARIES = (
    "diffusers",
    "transformers",
    "retouch.networks",
)  # a checkpoint's word for another is not followed


def outline(library: str, kind: str, config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shape of each parameter of the class `kind` by name, shared ones once; CheckpointError
    when the library has none such or the config does not suit it."""
    found = getattr(importlib.import_module(library), kind, None) if library in LIBRARIES else None
    if found is None:
        raise CheckpointError(
            f"{library} has no {kind or 'class'} that is known here; it cannot be counted by its config"
        )
    try:
        with quiet(), torch.device("meta"):
            made = by_config(found, config)
    except Exception as failure:  # whatever a class does with numbers it was not made for
        words = (str(failure).splitlines() or [type(failure).__name__])[0]
        raise CheckpointError(f"{kind} cannot be made by its config.json: {words[:200]}") from None
    return {name: tuple(value.shape) for name, value in made.named_parameters()}


def by_config(kind: type, config: dict[str, Any]) -> Any:
    """A network of a class of diffusers, or of transformers."""
    return (
        kind.from_config(config)
        if hasattr(kind, "from_config")
        else kind(kind.config_class.from_dict(config))
    )
