"""The connector's graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from retouch.networks.instructx import Connector
from retouch_export.checkpoint import Checkpoint
from retouch_export.graph import Graph, Shape


def graphs(checkpoint: Checkpoint) -> list[Graph]:
    connector = checkpoint.load(Connector, "connector")
    count = checkpoint.json("parser_heads/config.json")["queries"]
    width = connector.config.width

    def inputs(shape: Shape) -> dict[str, Tensor]:
        return {"queries": torch.randn(shape.batch, count, width)}

    return [Graph("model", connector, inputs, {"queries": {0: "batch"}}, ("conditioning",))]


def settings(checkpoint: Checkpoint) -> dict[str, Any]:
    return {}


def files(checkpoint: Checkpoint, folder: Path) -> None:
    """No files beside the graph."""
