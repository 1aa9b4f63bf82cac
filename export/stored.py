"""Where the tensors of a checkpoint's part lie in its safetensors files: their headers alone are read."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from export.files import CheckpointError, is_pointer, read_json

STEMS = ("diffusion_pytorch_model", "model")  # of weight files, as diffusers and transformers call them
TYPES = {"BF16": np.dtype("<u2"), "F16": np.dtype("<f2"), "F32": np.dtype("<f4")}  # numpy has no bfloat16: its bits
METADATA = "__metadata__"  # the entry of a header that is no tensor


class Source(Protocol):
    """What gives a parameter's numbers: `Stored` from a file, `export.adapter.Merged` with an adapter's change."""

    shape: tuple[int, ...]

    def numbers(self) -> np.ndarray:
        """As float32, made now."""


@dataclass(frozen=True)
class Stored:
    """One tensor: `length` bytes from `offset` of a file. `kind` is safetensors' name of its type."""

    file: Path
    offset: int
    length: int
    kind: str
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        """Numbers in it."""
        return math.prod(self.shape)

    @property
    def dtype(self) -> np.dtype:
        """numpy's, of what lies in the file; CheckpointError when it is none that can be exported."""
        if self.kind not in TYPES:
            raise CheckpointError(f"{self.file.name} holds numbers of type {self.kind}; supported are {', '.join(TYPES)}")
        return TYPES[self.kind]

    def numbers(self) -> np.ndarray:
        """As float32, read now."""
        flat = np.fromfile(self.file, self.dtype, count=self.count, offset=self.offset)
        if self.kind == "BF16":  # the upper half of a float32
            return (flat.astype(np.uint32) << 16).view(np.float32).reshape(self.shape)
        return flat.astype(np.float32).reshape(self.shape)


def stored(folder: Path) -> dict[str, Stored]:
    """The tensors of a part's folder by name, of one file or of the shards that its index names; CheckpointError."""
    folder = Path(folder)
    for stem in STEMS:
        if (folder / f"{stem}.safetensors.index.json").is_file():
            return _sharded(folder, f"{stem}.safetensors.index.json")
        if (folder / f"{stem}.safetensors").is_file():
            return header(folder / f"{stem}.safetensors")[0]
    lacks = f"the checkpoint lacks {' or '.join(f'{folder.name}/{stem}.safetensors' for stem in STEMS)}"
    other = sorted(path.name for path in folder.glob("*") if path.suffix in (".safetensors", ".bin", ".pt", ".gguf"))
    raise CheckpointError(f"{lacks}, and {other[0]} cannot be read in its place; download it in diffusers' layout"
                          if other else f"{lacks}; download it again")


def header(file: Path) -> tuple[dict[str, Stored], dict[str, str]]:
    """The tensors and the metadata that a safetensors file says it holds, after its length was found to be that;
    CheckpointError."""
    said = f"{file.parent.name}/{file.name}"
    if is_pointer(file):
        raise CheckpointError(f"{said} is a git-lfs pointer, not the weights; run `git lfs pull` in the checkpoint")
    size = file.stat().st_size
    with open(file, "rb") as data:
        first = data.read(8)
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else size
        if 8 + length > size:
            raise CheckpointError(f"{said} is cut short or no safetensors file; copy it again")
        try:
            entries = json.loads(data.read(length))
            metadata = entries.pop(METADATA, {})
            found = {name: _tensor(file, 8 + length, entry) for name, entry in entries.items()}
        except (ValueError, TypeError, KeyError, AttributeError):
            raise CheckpointError(f"{said} is no safetensors file; copy it again") from None
    needed = max((tensor.offset + tensor.length for tensor in found.values()), default=8 + length)
    if needed > size:
        raise CheckpointError(f"{said} is cut short: it has {size:,} bytes of {needed:,}; copy it again")
    return found, metadata


def _tensor(file: Path, begin: int, entry: dict) -> Stored:
    first, last = entry["data_offsets"]
    return Stored(file, begin + first, last - first, entry["dtype"], tuple(entry["shape"]))


def _sharded(folder: Path, index: str) -> dict[str, Stored]:
    places = read_json(folder / index, f"{folder.name}/{index}").get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(shard, str) and Path(shard).name == shard
                                               for shard in places.values()):
        raise CheckpointError(f"{folder.name}/{index} names no shards; copy it again")
    shards = sorted(set(places.values()))
    lacking = [shard for shard in shards if not (folder / shard).is_file()]
    if lacking:
        raise CheckpointError(f"the checkpoint lacks {folder.name}/{lacking[0]}, which {index} names ({len(lacking)} of "
                              f"{len(shards)} shards are missing); download it again")
    found = {name: tensor for shard in shards for name, tensor in header(folder / shard)[0].items()}
    missing = sorted(set(places) - set(found))
    if missing:
        raise CheckpointError(f"the shards of {folder.name} lack {missing[0]}, which {index} lists; copy it again")
    return found
