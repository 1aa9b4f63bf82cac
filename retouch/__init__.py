"""Retouch: instruction-based image editing on Triton Inference Server."""

from importlib import import_module

# diffusers finds a pipeline's parts here; they are loaded when asked for, so that serving needs no
# torch
_TORCH = {
    "RetouchPipeline": "families.instructx.pipeline",
    "Connector": "networks",
    "MetaQueries": "networks",
    "ParserHeads": "networks",
}


def __getattr__(name: str):
    if name in _TORCH:
        return getattr(import_module(f"retouch.{_TORCH[name]}"), name)
    raise AttributeError(f"module 'retouch' has no attribute {name!r}")
