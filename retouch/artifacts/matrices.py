"""Matrices in a safetensors file, float32, by numpy alone."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

from retouch.artifacts.manifest import ArtifactError

LENGTH = struct.Struct("<Q")  # of the header, in front of it
MAX_HEADER = 16 << 20  # bytes
FLOAT32 = "F32"
ALIGNMENT = 8  # of the numbers, by the format

Matrices = dict[str, np.ndarray]


def write_matrices(path: Path, matrices: Matrices) -> None:
    """Write the matrices as float32."""
    entries = {}
    end = 0
    for name, matrix in matrices.items():
        begin = end
        end += 4 * matrix.size
        entries[name] = {
            "dtype": FLOAT32,
            "shape": list(matrix.shape),
            "data_offsets": [begin, end],
        }
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % ALIGNMENT)
    with open(path, "wb") as file:
        file.write(LENGTH.pack(len(header)) + header)
        for matrix in matrices.values():
            file.write(np.ascontiguousarray(matrix, "<f4").data)


def matrices_of(content: np.ndarray) -> Matrices:
    """Views of the matrices in a file's bytes, uint8 [n]; ArtifactError for any other file."""
    try:
        (length,) = LENGTH.unpack(content[: LENGTH.size].tobytes())
        if length > MAX_HEADER:
            raise ValueError(length)
        begin = LENGTH.size + length
        entries = json.loads(content[LENGTH.size : begin].tobytes())
        numbers = content[begin:]
        return {name: _matrix(numbers, entry) for name, entry in entries.items()}
    except (ValueError, TypeError, KeyError, AttributeError, struct.error):
        raise ArtifactError("the adapter's file holds no matrices; add it again") from None


def _matrix(numbers: np.ndarray, entry: dict) -> np.ndarray:
    if entry["dtype"] != FLOAT32:
        raise ValueError(entry["dtype"])
    first, last = entry["data_offsets"]
    rows, columns = entry["shape"]
    return numbers[first:last].view("<f4").reshape(rows, columns)
