"""Where the tensors of a checkpoint's part lie in its safetensors files: their headers alone are
read."""

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

TYPES = {
    "BF16": np.dtype("<u2"),
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
}  # numpy has no bfloat16: its bits
COUNTS = (
    "I64",
    "I32",
    "BOOL",
)  # of buffers as position_ids or num_batches_tracked, which no graph takes from a checkpoint
METADATA = "__metadata__"  # the entry of a header that is no tensor


class TensorSource(Protocol):
    """What gives a parameter's numbers: `Stored` from a file, `retouch_export.adapter.Merged` with
    an adapter's change."""

    shape: tuple[int, ...]

    def numbers(self) -> np.ndarray:
        """As float32, made now."""


@dataclass(frozen=True)
class Stored:
    """One tensor: `length` bytes from `offset` of a file. `kind` is safetensors' name of its
    type."""

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
    def is_count(self) -> bool:
        """Whether it holds whole numbers, which no weight does."""
        return self.kind in COUNTS

    @property
    def dtype(self) -> np.dtype:
        """numpy's, of what lies in the file; CheckpointError when it is none that can be
        exported."""
        if self.kind not in TYPES:
            raise CheckpointError(
                f"{self.file.name} holds numbers of type {self.kind}; supported are {', '.join(TYPES)}"
            )
        return TYPES[self.kind]

    def numbers(self) -> np.ndarray:
        """As float32, read now."""
        flat = np.fromfile(self.file, self.dtype, count=self.count, offset=self.offset)
        if self.kind == "BF16":  # the upper half of a float32
            return (flat.astype(np.uint32) << 16).view(np.float32).reshape(self.shape)
        return flat.astype(np.float32).reshape(self.shape)


def stored(folder: Path, variant: str | None = None) -> dict[str, Stored]:
    """The tensors of a part's folder by name, of one file or of the shards that its index names, of
    a `variant` where it has that; CheckpointError."""
    chosen = weight_files(folder, variant)
    found = {name: tensor for file in chosen.files for name, tensor in header(file)[0].items()}
    missing = sorted(set(chosen.places or ()) - set(found))
    if missing:
        raise CheckpointError(
            f"the shards of {Path(folder).name} lack {missing[0]}, which {chosen.index.name} lists; copy "
            "it again"
        )
    return found


def header(file: Path) -> tuple[dict[str, Stored], dict[str, str]]:
    """The tensors and the metadata that a safetensors file says it holds, after its length was
    found to be that; CheckpointError."""
    said = f"{file.parent.name}/{file.name}"
    if is_pointer(file):
        raise CheckpointError(
            f"{said} is a git-lfs pointer, not the weights; run `git lfs pull` in the checkpoint"
        )
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
        raise CheckpointError(
            f"{said} is cut short: it has {size:,} bytes of {needed:,}; copy it again"
        )
    return found, metadata


def _tensor(file: Path, begin: int, entry: dict) -> Stored:
    first, last = entry["data_offsets"]
    return Stored(file, begin + first, last - first, entry["dtype"], tuple(entry["shape"]))
