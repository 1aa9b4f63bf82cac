"""Conditioning made from the labels themselves.

The transformer first learns to draw from these tokens, which say without doubt what to do; the
connector then learns to say the same from the parser's meta-queries. Neither waits for the other.
"""

import torch
from torch import Tensor, nn

from training.labels import FIELDS, SLOTS

TOKENS_PER_SLOT = 4  # the operation, what it acts on, what it makes of it, where
WORDS = tuple(
    name for name in FIELDS if not name.endswith("size")
)  # sizes are in the boxes, seldom in the sentence
WAVES = 6


class LabelEncoder(nn.Module):
    """Fields [B, SLOTS, F] and boxes [B, SLOTS, 2, 4] → conditioning [B, SLOTS × 4, dim]."""

    def __init__(self, dim: int):
        super().__init__()
        self.words = nn.ModuleDict({name: nn.Embedding(len(FIELDS[name]), dim) for name in WORDS})
        self.boxes = nn.Linear(2 * 4 * (2 * WAVES + 1), dim)
        self.places = nn.Parameter(torch.randn(SLOTS, TOKENS_PER_SLOT, dim) * 0.5)

    def forward(self, fields: Tensor, boxes: Tensor) -> Tensor:
        words = {
            name: self.words[name](fields[..., i]) for i, name in enumerate(FIELDS) if name in WORDS
        }
        tokens = [
            words["op"],
            *(
                sum(word for name, word in words.items() if name.startswith(group))
                for group in ("target", "value")
            ),
            self.boxes(waves(boxes).flatten(-3)),
        ]
        return (torch.stack(tokens, -2) + self.places).flatten(1, 2)


def waves(boxes: Tensor) -> Tensor:
    """Coordinates as centre and half extent with their sines and cosines, [..., 4] → [..., 4, 2 ×
    WAVES + 1]."""
    low = boxes[..., :2]
    high = boxes[..., 2:]
    values = torch.cat([(low + high) / 2, (high - low) / 2], -1)[..., None]
    angles = values * torch.pi * 2.0 ** torch.arange(WAVES, device=boxes.device) / 2
    return torch.cat([values, angles.sin(), angles.cos()], -1)
