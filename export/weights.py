"""Where the tensors of a checkpoint's part lie in its safetensors files: read when they are needed, one at a time."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from export.checkpoint import CheckpointError

TYPES = {"BF16": ir.DataType.BFLOAT16, "F16": ir.DataType.FLOAT16, "F32": ir.DataType.FLOAT}
STEMS = ("diffusion_pytorch_model", "model")  # diffusers' and transformers'
WIDE = ir.DataType.BFLOAT16


@dataclass(frozen=True)
class Stored:
    """One tensor: `length` bytes from `offset` of a file."""

    file: Path
    offset: int
    length: int
    kind: str
    shape: tuple[int, ...]

    def tensor(self, name: str) -> ir.TensorProtocol:
        """As bfloat16, memory-mapped where it is stored so."""
        kind = TYPES.get(self.kind)
        if kind is None:
            raise CheckpointError(f"{name} of {self.file.name} is {self.kind}; supported are {', '.join(TYPES)}")
        there = ir.ExternalTensor(self.file.name, self.offset, self.length, kind, shape=ir.Shape(self.shape), name=name,
                                  base_dir=self.file.parent)
        if kind is WIDE:
            return there

        def rounded() -> ir.TensorProtocol:
            numbers = there.numpy().astype(WIDE.numpy())
            there.release()
            return ir.tensor(numbers, name=name)

        return ir.LazyTensor(rounded, WIDE, ir.Shape(self.shape), name=name)


def stored(folder: Path) -> dict[str, Stored]:
    """The tensors of a part's folder by name, of one file or of the shards that its index names; CheckpointError."""
    stem = next((stem for stem in STEMS if list(folder.glob(f"{stem}.safetensors*"))), STEMS[0])
    index = folder / f"{stem}.safetensors.index.json"
    if not index.is_file():
        return _header(folder / f"{stem}.safetensors")
    places = json.loads(index.read_text())["weight_map"]
    found = {name: tensor for shard in sorted(set(places.values())) for name, tensor in _header(folder / shard).items()}
    missing = sorted(set(places) - set(found))
    if missing:
        raise CheckpointError(f"the shards of {folder.name} lack {missing[0]}, which {index.name} lists; copy it again")
    return found


def attach(model: ir.Model, prefix: str, tensors: Mapping[str, Stored]) -> None:
    """Give every parameter of `model`, whose name begins with `prefix`, its numbers; CheckpointError."""
    for name, value in model.graph.initializers.items():
        if not name.startswith(prefix):
            continue
        key = name.removeprefix(prefix)
        if key not in tensors:
            raise CheckpointError(f"the checkpoint lacks {key}; its config.json describes another network")
        if tensors[key].shape != tuple(value.shape):
            raise CheckpointError(f"{key} has shape {list(tensors[key].shape)} in the checkpoint and "
                                  f"{list(value.shape)} by its config.json")
        value.const_value = tensors[key].tensor(name)


def release(tensor: ir.TensorProtocol) -> None:
    """Let go of the pages that a memory-mapped tensor has read; they count as memory in use. It may be read again."""
    if isinstance(tensor, ir.ExternalTensor):
        tensor.release()


def blank(model: ir.Model, prefix: str) -> None:
    """Zeros for every parameter, made only if somebody reads them: a graph's shape and size need no weights."""
    for name, value in model.graph.initializers.items():
        if name.startswith(prefix):
            shape = tuple(value.shape)
            value.const_value = ir.LazyTensor(lambda shape=shape: ir.tensor(np.zeros(shape, WIDE.numpy())), WIDE,
                                              ir.Shape(shape), name=name)


def _header(file: Path) -> dict[str, Stored]:
    """What a safetensors file says it holds, after its length was found to be that."""
    if not file.is_file():
        raise CheckpointError(f"the checkpoint lacks {file.parent.name}/{file.name}")
    size, said = file.stat().st_size, f"{file.parent.name}/{file.name}"
    with open(file, "rb") as data:
        first = data.read(8)
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else size
        if 8 + length > size:
            raise CheckpointError(f"{said} is cut short or no safetensors file; copy it again")
        try:
            header = json.loads(data.read(length))
        except ValueError:
            raise CheckpointError(f"{said} is no safetensors file; copy it again") from None
    begin = 8 + length
    found = {name: Stored(file, begin + entry["data_offsets"][0], entry["data_offsets"][1] - entry["data_offsets"][0],
                          entry["dtype"], tuple(entry["shape"]))
             for name, entry in header.items() if name != "__metadata__"}
    needed = max((tensor.offset + tensor.length for tensor in found.values()), default=begin)
    if needed > size:
        raise CheckpointError(f"{said} is cut short: it has {size:,} bytes of {needed:,}; copy it again")
    return found
