"""What a torch module is, apart from its weights: two with one fingerprint are traced into the same
graph.

It covers the classes, their sources where no pinned package has them, the settings that modules
keep in attributes, and the shapes and types of parameters and buffers. It leaves out the numbers of
both, and notes of where and by which release a checkpoint was saved.
"""

from __future__ import annotations

import functools
import hashlib
import sys
import types
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensor

from retouch_export.hashes import sha256

PLAIN = (
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    Enum,
    torch.dtype,
    torch.device,
    torch.Size,
    np.generic,
    np.dtype,
)
# packages whose versions stand for their sources
PINNED = ("builtins", "torch", "diffusers", "transformers", "peft")
# of configs
UNRELATED = {
    "_name_or_path",
    "name_or_path",
    "_commit_hash",
    "_diffusers_version",
    "transformers_version",
    "_use_default_values",
    "_original_object_hash",  # of strings: another number in every process
}
STATE = ("_parameters", "_buffers")


class Unknown(ValueError):
    """An attribute that cannot be described: the module has no fingerprint."""


def fingerprint(module: nn.Module) -> str:
    """SHA-256 in hexadecimal digits; Unknown."""
    total = hashlib.sha256()
    for token in _tokens(module, {}):
        total.update(token.encode() + b"\0")
    return total.hexdigest()


def _tokens(value: Any, seen: dict[int, Any]) -> Iterator[str]:
    """`seen` has the objects that were described before by their ids, which live as long: their
    place there is enough. Lists and the like are described again, for torch replaces them by copies
    when it traces."""
    if value is None or isinstance(value, PLAIN):
        yield f"{type(value).__name__} {value!r}"
    elif isinstance(value, Tensor):
        yield from _tensor(value, values=True)
    elif isinstance(value, np.ndarray):
        yield f"array {value.shape} {value.dtype} {hashlib.sha256(value.tobytes()).hexdigest()}"
    elif isinstance(value, dict):
        yield from _mapping(value, seen)
    elif isinstance(value, (list, tuple)):
        yield f"{type(value).__name__} {len(value)}"
        for entry in value:
            yield from _tokens(entry, seen)
    elif isinstance(value, (set, frozenset)):
        yield f"set {sorted(map(repr, value))}"
    elif isinstance(value, type | types.BuiltinFunctionType):
        yield from _code(value)
    elif isinstance(value, types.MethodType):
        yield from _tokens([value.__func__, value.__self__], seen)
    elif isinstance(value, functools.partial):
        yield from _tokens([value.func, value.args, value.keywords], seen)
    elif id(value) in seen:
        yield f"again {list(seen).index(id(value))}"
    else:
        seen[id(value)] = value
        yield from _object(value, seen)


def _tensor(value: Tensor, values: bool) -> Iterator[str]:
    """With its numbers where they become part of a graph; those of a fake tensor do not exist."""
    yield f"tensor {tuple(value.shape)} {value.dtype} {value.requires_grad}"
    if values and not isinstance(value, FakeTensor) and value.device.type != "meta":
        numbers = value.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
        yield hashlib.sha256(numbers.tobytes()).hexdigest()


def _mapping(value: dict, seen: dict[int, Any]) -> Iterator[str]:
    names = sorted((key for key in value if key not in UNRELATED), key=repr)
    yield f"dict {len(names)}"
    for name in names:
        yield repr(name)
        yield from _tokens(value[name], seen)


def _object(value: Any, seen: dict[int, Any]) -> Iterator[str]:
    """A module's children come in their order, which is that of its parameters in a graph."""
    if isinstance(value, types.FunctionType):
        yield from _code(value)
        yield from _tokens([cell.cell_contents for cell in value.__closure__ or ()], seen)
    elif not hasattr(value, "__dict__"):
        raise Unknown(f"a {type(value).__name__}")
    else:
        yield from _code(type(value))
        attributes = dict(vars(value))
        if isinstance(value, nn.Module):
            yield from _state([attributes.pop(kind) for kind in STATE])
            for name, child in attributes.pop("_modules").items():
                yield f"child {name}"
                yield from _tokens(child, seen)
            attributes = {
                name: entry for name, entry in attributes.items() if "_hooks" not in name or entry
            }
        yield from _mapping(attributes, seen)


def _state(tensors: list[dict[str, Tensor | None]]) -> Iterator[str]:
    """Names, shapes and types of a module's own parameters and buffers."""
    for name, tensor in (entry for kind in tensors for entry in kind.items()):
        yield f"state {name}"
        yield from _tensor(tensor, values=False) if tensor is not None else ("none",)


def _code(value: Any) -> Iterator[str]:
    """A class or a function: its name, and its file where that is ours."""
    yield f"{value.__module__}.{value.__qualname__}"
    if str(value.__module__).partition(".")[0] not in PINNED:
        file = getattr(sys.modules.get(value.__module__), "__file__", None)
        yield sha256(Path(file)) if file else ""
