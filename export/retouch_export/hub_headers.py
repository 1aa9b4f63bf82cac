"""Headers of weights that stay on the Hugging Face Hub."""

from __future__ import annotations

import json
import struct
from pathlib import Path

from huggingface_hub.errors import SafetensorsParsingError

from retouch_export.checkpoint_files import CheckpointError
from retouch_export.hub_snapshot import Snapshot, api
from retouch_export.safetensors_index import METADATA


def write_header(snapshot: Snapshot, path: str, file: Path) -> None:
    """Write a safetensors file with the header of the hub's and a hole in place of its numbers; a
    hole takes no disk. CheckpointError when it is no safetensors file."""
    try:
        remote = api().parse_safetensors_file_metadata(
            snapshot.name.repository, path, revision=snapshot.commit
        )
    except SafetensorsParsingError:
        raise CheckpointError(f"{path} of {snapshot.name} is no safetensors file") from None
    entries = {
        name: {
            "dtype": tensor.dtype,
            "shape": tensor.shape,
            "data_offsets": list(tensor.data_offsets),
        }
        for name, tensor in remote.tensors.items()
    }
    header = json.dumps({METADATA: remote.metadata or {}} | entries).encode()
    length = max((tensor.data_offsets[1] for tensor in remote.tensors.values()), default=0)
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "wb") as stream:
        stream.write(struct.pack("<Q", len(header)) + header)
        stream.truncate(8 + len(header) + length)
