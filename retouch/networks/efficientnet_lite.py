"""The first stages of EfficientNet-lite0: features of pictures at three scales.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019;
the lite variants have ReLU6 and no squeeze-and-excitation. Modules have the names that published
weights use."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

MEAN = (0.485, 0.456, 0.406)  # of RGB from 0 to 1
SPREAD = (0.229, 0.224, 0.225)
STEM = 32  # channels
EPSILON = 1e-3


@dataclass(frozen=True)
class Stage:
    """`repeats` blocks with kernels of one size; the first has the stride."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


# those after which the stride is 16; the stages behind them are left out
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
)
TAPPED = (1, 2, 4)  # stages whose output is a feature, at strides 4, 8 and 16
CHANNELS = tuple(STAGES[index].channels for index in TAPPED)


class EfficientNetLite(nn.Module):
    """RGB from 0 to 255 [B, 3, H, W], sides multiples of 16 → features [B, C, H/s, W/s] at the
    strides s 4, 8 and 16."""

    def __init__(self):
        super().__init__()
        self._conv_stem = nn.Conv2d(3, STEM, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(STEM, eps=EPSILON)
        blocks = []
        before = STEM
        for stage in STAGES:
            for number in range(stage.repeats):
                stride = stage.stride if number == 0 else 1
                blocks.append(_Block(before, stage, stride))
                before = stage.channels
        self._blocks = nn.ModuleList(blocks)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        mean, spread = (
            pixels.new_tensor([255 * value for value in row])[:, None, None]
            for row in (MEAN, SPREAD)
        )
        hidden = _same((pixels - mean) / spread, self._conv_stem)
        hidden = F.relu6(self._bn0(hidden))
        features = []
        blocks = iter(self._blocks)
        for index, stage in enumerate(STAGES):
            for _ in range(stage.repeats):
                hidden = next(blocks)(hidden)
            if index in TAPPED:
                features.append(hidden)
        return features


class _Block(nn.Module):
    """An inverted residual block: expansion, depthwise convolution, projection."""

    def __init__(self, before: int, stage: Stage, stride: int):
        super().__init__()
        inner = before * stage.expansion
        if stage.expansion > 1:
            self._expand_conv = nn.Conv2d(before, inner, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(inner, eps=EPSILON)
        self._depthwise_conv = nn.Conv2d(
            inner, inner, stage.kernel, stride, groups=inner, bias=False
        )
        self._bn1 = nn.BatchNorm2d(inner, eps=EPSILON)
        self._project_conv = nn.Conv2d(inner, stage.channels, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(stage.channels, eps=EPSILON)
        self.is_expanded = stage.expansion > 1
        self.is_residual = stride == 1 and before == stage.channels

    def forward(self, hidden: Tensor) -> Tensor:
        inner = hidden
        if self.is_expanded:
            inner = F.relu6(self._bn0(self._expand_conv(inner)))
        inner = F.relu6(self._bn1(_same(inner, self._depthwise_conv)))
        inner = self._bn2(self._project_conv(inner))
        return hidden + inner if self.is_residual else inner


def _same(hidden: Tensor, convolution: nn.Conv2d) -> Tensor:
    """The convolution with TensorFlow's padding: an odd pixel is on the right and below."""
    total = convolution.kernel_size[0] - convolution.stride[0]
    before = total // 2
    return convolution(F.pad(hidden, (before, total - before) * 2))
