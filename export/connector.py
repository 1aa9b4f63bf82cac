"""The connector's graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from export.checkpoint import Checkpoint
from export.graph import Graph, Shape
from retouch.networks import Connector


def graphs(checkpoint: Checkpoint) -> list[Graph]:
    connector = checkpoint.load(Connector, "connector")
    count, width = checkpoint.json("parser_heads/config.json")["queries"], connector.config.width

    def inputs(shape: Shape) -> dict[str, Tensor]:
        return {"queries": torch.randn(shape.batch, count, width)}

    return [Graph("model", connector, inputs, {"queries": {0: "batch"}}, ("conditioning",))]


def settings(checkpoint: Checkpoint) -> dict[str, Any]:
    return {}


def files(checkpoint: Checkpoint, folder: Path) -> None:
    """No files beside the graph."""
