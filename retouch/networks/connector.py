"""The module of the stage `connector`."""

from __future__ import annotations

from torch import Tensor, nn

from retouch.networks.instructx import Connector


class PromptEmbeds(nn.Module):
    """Meta-queries [B, Q, width] → prompt embeds float32 [B, Q, out]."""

    outputs = ("conditioning",)

    def __init__(self, connector: Connector):
        super().__init__()
        self.connector = connector

    def forward(self, queries: Tensor) -> Tensor:
        return self.connector(queries.to(self.connector.dtype)).float()


PASSES = {"model": lambda networks, settings: PromptEmbeds(networks["connector"])}
