"""Networks made from their configs: the classes that a manifest or a checkpoint may name."""

from __future__ import annotations

import importlib
from typing import Any

# a manifest or a checkpoint cannot name any other library
LIBRARIES = ("diffusers", "transformers", "retouch.networks")
STORED_TYPES = ("dtype", "torch_dtype")  # names of the weights' type in configs of transformers


def class_of(library: str, name: str) -> type | None:
    """The class called `name` of one of LIBRARIES; None for any other."""
    if library not in LIBRARIES:
        return None
    kind = getattr(importlib.import_module(library), name, None)
    return kind if isinstance(kind, type) else None


def by_config(kind: type, config: dict[str, Any]) -> Any:
    """A network of a diffusers or transformers class, made from its config."""
    if hasattr(kind, "from_config"):
        return kind.from_config(config)  # pyright: ignore[reportAttributeAccessIssue]
    return kind(kind.config_class.from_dict(config))  # pyright: ignore[reportAttributeAccessIssue]


def untyped(config: dict[str, Any]) -> dict[str, Any]:
    """The config, and its nested configs, without the stored type of the weights."""
    return {
        name: untyped(value) if isinstance(value, dict) else value
        for name, value in config.items()
        if name not in STORED_TYPES
    }


def description(kind: type, config: dict[str, Any]) -> dict[str, Any]:
    """Library, class and config of a network, as a manifest has them."""
    library = next(name for name in LIBRARIES if kind.__module__.startswith(f"{name}."))
    return {"library": library, "class": kind.__name__, "config": untyped(config)}
