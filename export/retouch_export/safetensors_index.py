"""Positions of a component's tensors in its safetensors files, from their headers."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from retouch_export.checkpoint_files import CheckpointError, is_pointer
from retouch_export.weight_files import weight_files

# bfloat16 as its bits, because numpy has no such type
TYPES = {"BF16": np.dtype("<u2"), "F16": np.dtype("<f2"), "F32": np.dtype("<f4")}
# types of buffers such as position_ids or num_batches_tracked, which are not exported
COUNTS = ("I64", "I32", "BOOL")
METADATA = "__metadata__"  # the only entry of a header that is no tensor


class TensorSource(Protocol):
    """A source of a parameter's numbers: `Stored` in a file, or `retouch_export.adapter.Merged`
    with an adapter's change."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def numbers(self) -> np.ndarray:
        """Compute the numbers as float32."""
        ...


@dataclass(frozen=True)
class Stored:
    """One tensor in a file: `length` bytes from `offset`. `kind` is safetensors' name of its
    type."""

    file: Path
    offset: int
    length: int
    kind: str
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def is_count(self) -> bool:
        """Whether it holds integers or booleans, as no weight does."""
        return self.kind in COUNTS

    @property
    def dtype(self) -> np.dtype:
        """The numpy type of the stored numbers; CheckpointError when it cannot be exported."""
        if self.kind not in TYPES:
            raise CheckpointError(
                f"{self.file.name} holds numbers of type {self.kind}; "
                f"supported are {', '.join(TYPES)}"
            )
        return TYPES[self.kind]

    def numbers(self) -> np.ndarray:
        """Read the numbers as float32."""
        flat = np.fromfile(self.file, self.dtype, count=self.count, offset=self.offset)
        if self.kind == "BF16":  # the upper half of a float32
            return (flat.astype(np.uint32) << 16).view(np.float32).reshape(self.shape)
        return flat.astype(np.float32).reshape(self.shape)


def stored(folder: Path, variant: str | None = None) -> dict[str, Stored]:
    """The tensors of a component's folder by name, from one file or from shards; CheckpointError.

    A component that has weights of the `variant` is read from those."""
    chosen = weight_files(folder, variant)
    tensors = {name: tensor for file in chosen.files for name, tensor in header(file)[0].items()}
    missing = sorted(set(chosen.places or ()) - set(tensors))
    if missing and chosen.index:
        raise CheckpointError(
            f"the shards of {Path(folder).name} lack {missing[0]}, which {chosen.index.name} "
            "lists; copy it again"
        )
    return tensors


def header(file: Path) -> tuple[dict[str, Stored], dict[str, str]]:
    """The tensors and the metadata in the header of a safetensors file; CheckpointError when it is
    damaged or cut short."""
    path = f"{file.parent.name}/{file.name}"
    if is_pointer(file):
        raise CheckpointError(
            f"{path} is a git-lfs pointer, not the weights; run `git lfs pull` in the checkpoint"
        )
    size = file.stat().st_size
    with open(file, "rb") as data:
        first = data.read(8)
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else size
        if 8 + length > size:
            raise CheckpointError(f"{path} is cut short or no safetensors file; copy it again")
        try:
            entries = json.loads(data.read(length))
            metadata = entries.pop(METADATA, {})
            tensors = {name: _tensor(file, 8 + length, entry) for name, entry in entries.items()}
        except (ValueError, TypeError, KeyError, AttributeError):
            raise CheckpointError(f"{path} is no safetensors file; copy it again") from None
    needed = max((tensor.offset + tensor.length for tensor in tensors.values()), default=8 + length)
    if needed > size:
        raise CheckpointError(
            f"{path} is cut short: it has {size:,} bytes of {needed:,}; copy it again"
        )
    return tensors, metadata


def _tensor(file: Path, begin: int, entry: dict) -> Stored:
    first, last = entry["data_offsets"]
    return Stored(file, begin + first, last - first, entry["dtype"], tuple(entry["shape"]))
