"""Adapters of any trainer's layout into the form of the folder of adapters. Imports torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from retouch.artifacts.adapter_folder import DOWN, UP, AdapterManifest, fingerprint, write_adapter
from retouch.artifacts.manifest import Manifest
from retouch.artifacts.matrices import Matrices
from retouch.networks.by_config import by_config, class_of
from retouch_export.adapter import COMPONENT, Adapter, AdapterError, LowRank
from retouch_export.lora import adapter_file, changes, digest


def add_adapter(path: Path, name: str, lane: Manifest, folder: Path) -> AdapterManifest:
    """Convert the adapter in `path` for the network of an exported lane and write it into `folder`
    as `name`. AdapterError when it is none, of an unsupported kind, or for another network."""
    file = adapter_file(path)
    adapter = Adapter(name, 1.0, digest(file), changes(file, family=lane.family), file.name)
    network = _network(lane)
    adapter.check(dict(network.named_parameters()))
    matrices: Matrices = {}
    for parameter, change in adapter.changes.items():
        module = parameter.removesuffix(".weight")
        if not isinstance(network.get_submodule(module), nn.Linear):
            raise AdapterError(f"the adapter changes {module}, which is no linear layer")
        matrices |= _matrices(module, change)
    return write_adapter(folder, name, fingerprint(lane), matrices, file.name, adapter.sha256)


def _network(lane: Manifest) -> nn.Module:
    """The lane's transformer without numbers; AdapterError when its manifest lacks it."""
    description = lane.settings.get("networks", {}).get(COMPONENT, {})
    kind = class_of(description.get("library", ""), description.get("class", ""))
    if kind is None:
        raise AdapterError(
            "the lane's manifest does not describe its transformer; run the export again"
        )
    with torch.device("meta"):
        return by_config(kind, description["config"])


def _matrices(module: str, change: LowRank) -> Matrices:
    """Float32 [in, rank] and [rank, out], the factor in the latter."""
    up = change.up.numbers() * np.float32(change.factor)
    return {module + DOWN: change.down.numbers().T, module + UP: up.T}
