"""The networks in torch: what is exported, and what the backend `torch` runs.

A checkpoint's `model_index.json` names `retouch.networks` as the library of InstructX's own parts.
They are imported when a checkpoint asks for them: other parts start without diffusers."""

from __future__ import annotations

import importlib

OWN = ("Connector", "MetaQueries", "ParserHeads")


def __getattr__(name: str) -> type:
    if name in OWN:
        return getattr(importlib.import_module(f"{__name__}.instructx"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
