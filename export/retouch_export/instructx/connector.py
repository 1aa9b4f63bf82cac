"""The model `connector`: meta-queries to prompt embeds."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from retouch.networks import connector as module
from retouch.networks.connector import PromptEmbeds
from retouch.networks.instructx import Connector
from retouch_export.checkpoint import Checkpoint
from retouch_export.graph import Graph, Shape
from retouch_export.parts import Part


class ConnectorPart(Part):
    """The two-layer MLP between the parser and the transformer."""

    passes = module.__name__
    networks = {"connector": Connector}

    def settings(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """The number of meta-queries, and their width."""
        count = checkpoint.json("parser_heads/config.json")["queries"]
        return {"queries": [count, checkpoint.json("meta_queries/config.json")["width"]]}

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        connector = checkpoint.load(Connector, "connector")
        count = checkpoint.json("parser_heads/config.json")["queries"]
        width = connector.config.width

        def inputs(shape: Shape) -> dict[str, Tensor]:
            return {"queries": torch.randn(shape.batch, count, width)}

        wrapper = PromptEmbeds(connector)
        return [Graph("model", wrapper, inputs, {"queries": {0: "batch"}}, PromptEmbeds.outputs)]


PART = ConnectorPart()
