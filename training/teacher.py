"""Conditioning that is computed from the labels.

The transformer is first trained on these exact tokens. The connector is then trained to compute
them from the parser's meta-queries, so that neither network waits for the other.
"""

import torch
from torch import Tensor, nn

from training.labels import FIELDS, SLOTS

TOKENS_PER_SLOT = 4  # operation, target, value, boxes
# without sizes, which the boxes hold and instructions seldom name
GROUPS = {
    "op": ("op", "amount"),
    "target": ("target_colour", "target_kind", "where"),
    "value": ("value_colour", "value_kind", "value_place"),
}
WAVES = 6


class LabelEncoder(nn.Module):
    """Fields [B, SLOTS, F] and boxes [B, SLOTS, 2, 4] → conditioning [B, SLOTS × 4, dim]."""

    def __init__(self, dim: int):
        super().__init__()
        self.labels = nn.ModuleDict(
            {
                name: nn.Embedding(len(FIELDS[name]), dim)
                for names in GROUPS.values()
                for name in names
            }
        )
        self.boxes = nn.Linear(2 * 4 * (2 * WAVES + 1), dim)
        self.places = nn.Parameter(torch.randn(SLOTS, TOKENS_PER_SLOT, dim) * 0.5)

    def forward(self, fields: Tensor, boxes: Tensor) -> Tensor:
        embeds = {
            name: self.labels[name](fields[..., i])
            for i, name in enumerate(FIELDS)
            if name in self.labels
        }
        tokens = [sum(embeds[name] for name in names) for names in GROUPS.values()]
        tokens.append(self.boxes(waves(boxes).flatten(-3)))
        return (torch.stack(tokens, -2) + self.places).flatten(1, 2)


def waves(boxes: Tensor) -> Tensor:
    """Box coordinates [..., 4] → centre and half extent with sines and cosines [..., 4, 2 × WAVES +
    1]."""
    low = boxes[..., :2]
    high = boxes[..., 2:]
    values = torch.cat([(low + high) / 2, (high - low) / 2], -1)[..., None]
    angles = values * torch.pi * 2.0 ** torch.arange(WAVES, device=boxes.device) / 2
    return torch.cat([values, angles.sin(), angles.cos()], -1)
