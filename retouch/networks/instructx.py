"""InstructX's small torch modules between the vision-language model and the diffusion
transformer."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn


class MetaQueries(ModelMixin, ConfigMixin):
    """Learnt input embeddings [count, width] behind the prompt. Their last hidden states are the
    connector's input."""

    @register_to_config
    def __init__(self, count: int = 8, width: int = 192):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(count, width) * 0.02)


class Connector(ModelMixin, ConfigMixin):
    """A two-layer MLP, meta-queries [B, Q, width] → prompt embeds [B, Q, out]. Groups of `share`
    queries are its inputs."""

    @register_to_config
    def __init__(self, width: int = 192, hidden: int = 768, out: int = 192, share: int = 1):
        super().__init__()
        self.up = nn.Linear(share * width, hidden)
        self.down = nn.Linear(hidden, share * out)

    def forward(self, queries: Tensor) -> Tensor:
        slots = queries.unflatten(1, (-1, self.config["share"])).flatten(2)
        embeds = self.down(nn.functional.gelu(self.up(slots)))
        return embeds.unflatten(2, (self.config["share"], -1)).flatten(1, 2)


@dataclass
class Understanding:
    """The heads' outputs, for S operation slots and V cells.

    `labels` [B, S, K]: logits of all fields. `boxes` [B, S, 2, 4]: target and value box as shares
    x0, y0, x1, y1. `region` [B, V]: the logit that a cell changes. `presence` [B, S]: the logit
    that the target is in the picture, None in heads without."""

    labels: Tensor
    boxes: Tensor
    region: Tensor
    presence: Tensor | None = None


class ParserHeads(ModelMixin, ConfigMixin):
    """Predicts operations, boxes and the region. Every slot has an equal share of the meta-queries.

    Every cell predicts the box of the shape in it, and a slot attends to the cells of its target: a
    target's box is their weighted mean. A value's box is a blend of the target's and of the slot's
    own prediction.

    With `presence` a slot also looks at its target's cells, and predicts whether the target is
    there. `temperature`, `refuse_below` and what is `unsupported` are a checkpoint's calibration
    (`retouch/families/instructx/assessment.py`)."""

    @register_to_config
    def __init__(
        self,
        fields: dict[str, list[str]] = {"op": ["none"]},  # noqa: B006 (never changed)
        slots: int = 2,
        queries: int = 8,
        width: int = 192,
        presence: bool = False,
        temperature: float = 1.0,
        refuse_below: float = 0.0,
        unsupported: Sequence[str] = (),
    ):
        super().__init__()
        share = queries // slots * width
        self.labels = nn.Linear(share, sum(len(values) for values in fields.values()))
        self.seek = nn.Linear(share, width)
        self.place = nn.Sequential(nn.Linear(share, width), nn.GELU(), nn.Linear(width, 8))
        self.shape = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 4))
        self.cell = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))
        if presence:
            self.target = nn.Sequential(
                nn.Linear(share + width + 1, width), nn.GELU(), nn.Linear(width, 1)
            )

    def forward(self, queries: Tensor, cells: Tensor, centres: Tensor) -> Understanding:
        """`queries` [B, Q, width] and `cells` [B, V, width], the hidden states at meta-queries and
        image tokens; `centres` [V, 2] of the cells, x and y as shares."""
        slots = queries.reshape(queries.shape[0], self.config["slots"], -1)
        sought = self.seek(slots) @ cells.transpose(1, 2) / cells.shape[-1] ** 0.5
        offset, extent = self.shape(cells).chunk(2, -1)
        shapes = torch.cat([centres + offset.tanh() / 2, extent.sigmoid() / 2], -1)
        attention = sought.softmax(-1)
        target = attention @ shapes
        own, blend = self.place(slots).sigmoid().chunk(2, -1)
        middle, side = own.chunk(2, -1)
        value = torch.lerp(torch.cat([middle, side / 2], -1), target, blend)
        region = self.cell(cells)[..., 0] + sought.logsumexp(1)
        presence = None
        if self.config["presence"]:
            seen = torch.cat([slots, attention @ cells, sought.amax(-1, keepdim=True)], -1)
            presence = self.target(seen)[..., 0]
        boxes = _corners(torch.stack([target, value], -2))
        return Understanding(self.labels(slots), boxes, region, presence)


def _corners(boxes: Tensor) -> Tensor:
    """Centre and half extents to x0, y0, x1, y1."""
    centre, extent = boxes.chunk(2, -1)
    return torch.cat([centre - extent, centre + extent], -1)
