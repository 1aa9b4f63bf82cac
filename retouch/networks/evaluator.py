"""The evaluator of edits: how good an answer is, from source, answer, region and the parser's
reading."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from retouch.networks.edit_features import (
    GRID,
    at_size,
    box_masks,
    clipped_shares,
    coarse_maps,
    colour_statistics,
    edge_statistics,
    masked_mean,
    opponent,
    seam_statistics,
    unit,
)
from retouch.networks.efficientnet_lite import CHANNELS, EfficientNetLite
from retouch.quality.reading import Vocabulary

PARTS = ("score", "consistency", "instruction", "plausibility")  # the outputs, in this order
BOX_SCALE = 1  # of the features at boxes: stride 8
HIDDEN = 256
BOTTLENECK = 64


class Evaluator(ModelMixin, ConfigMixin):
    """Logits [B, 4] of PARTS, 0 to 1 after a sigmoid: 1 is a good answer.

    `source` and `answer` [B, 3, H, W] are RGB from 0 to 255, with sides that are multiples of 16.
    `region` [B, 1, H/16, W/16] is 1 in cells that may change. `reading` [B, slots, K] is the
    instruction as `retouch.quality.reading` writes it, and `boxes` [B, slots, 2, 4] those of the
    targets and values; zeros where there is no parser. `version` tells one evaluator from
    another."""

    @register_to_config
    def __init__(
        self,
        ops: Sequence[str] = ("none",),
        terms: Sequence[str] = (),
        slots: int = 2,
        version: str = "0",
    ):
        super().__init__()
        self.vocabulary = Vocabulary(tuple(ops), tuple(terms), slots)
        self.backbone = EfficientNetLite()
        count = _count(self.vocabulary.width, slots)
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("spread", torch.ones(count))
        self.head = nn.Sequential(
            nn.Linear(count, HIDDEN),
            nn.GELU(),
            nn.Dropout(0.2),
            nn.Linear(HIDDEN, BOTTLENECK),
            nn.GELU(),
            nn.Linear(BOTTLENECK, len(PARTS)),
        )

    def forward(
        self, source: Tensor, answer: Tensor, region: Tensor, reading: Tensor, boxes: Tensor
    ) -> Tensor:
        return self.judge(self.features(source, answer, region, reading, boxes))

    def judge(self, features: Tensor) -> Tensor:
        """Logits of `features` [B, F]."""
        return self.head(((features - self.mean) / self.spread).clamp(-8, 8))

    def features(
        self, source: Tensor, answer: Tensor, region: Tensor, reading: Tensor, boxes: Tensor
    ) -> Tensor:
        """All that the head sees, [B, F]."""
        inside = at_size(region, source)
        values = [
            _pixels(source, answer, inside),
            self._deep(source, answer, region, boxes.flatten(1, 2)),
            _box_colours(source, answer, boxes.flatten(1, 2)),
            reading.flatten(1),
            boxes.flatten(1),
            region.mean((2, 3)),
        ]
        return torch.cat(values, 1)

    def _deep(self, source: Tensor, answer: Tensor, region: Tensor, boxes: Tensor) -> Tensor:
        """Distances of the features inside and outside, and the features themselves at the last
        scale and at the boxes."""
        scales = list(zip(self.backbone(source), self.backbone(answer)))
        values = []
        for before, after in scales:
            distance = (unit(after) - unit(before)).square()
            inside = at_size(region, distance)
            values += [masked_mean(distance, inside), masked_mean(distance, 1 - inside)]
            total = distance.sum(1, keepdim=True)
            values += [(total * mask).amax((2, 3)) for mask in (inside, 1 - inside)]
        before, after = scales[-1]
        values += [before.mean((2, 3)), after.mean((2, 3)), masked_mean(after - before, inside)]
        before, after = scales[BOX_SCALE]
        for mask in box_masks(boxes, before).unbind(1):
            values += [masked_mean(picture, mask[:, None]) for picture in (before, after)]
        return torch.cat(values, 1)


def _pixels(source: Tensor, answer: Tensor, inside: Tensor) -> Tensor:
    """Statistics of colours and edges, inside and outside."""
    before, after = opponent(source), opponent(answer)
    lumas = before[:, :1], after[:, :1]
    values = [coarse_maps(before, after), seam_statistics(*lumas, inside)]
    for mask in (inside, 1 - inside):
        values += [
            colour_statistics(before, after, mask),
            edge_statistics(*lumas, mask),
            clipped_shares(source, answer, mask),
        ]
    return torch.cat(values, 1)


def _box_colours(source: Tensor, answer: Tensor, boxes: Tensor) -> Tensor:
    """The mean opponent colours of both pictures at each box."""
    pictures = opponent(source), opponent(answer)
    values = [
        masked_mean(picture, mask[:, None])
        for mask in box_masks(boxes, source).unbind(1)
        for picture in pictures
    ]
    return torch.cat(values, 1)


def _count(width: int, slots: int) -> int:
    """The number of features."""
    boxes = 2 * slots
    pixels = 9 * GRID**2 + 4 + 2 * (18 + 6 + 4)
    deep = sum(2 * channels + 2 for channels in CHANNELS) + 3 * CHANNELS[-1]
    at_boxes = boxes * (2 * CHANNELS[BOX_SCALE] + 6)
    return pixels + deep + at_boxes + slots * width + 4 * boxes + 1
