"""A linear layer in NVFP4 in torch, with the numbers that an exported graph has.

The exporter rounds in numpy (`retouch_export.formats`), which takes minutes for a large layer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retouch.networks.fp8_linear import E4M3
from retouch_export.scales import BLOCK, E2M1_MAX, E4M3_MAX, nvfp4_scale

SMALLEST = 2.0**-9  # positive E4M3 number
LARGEST_CODE = 126  # of E4M3: 448
EXPONENT = 0x7F800000  # the bits of a float32 number's
CHUNK = 1 << 12  # blocks at a time, which a processor's cache holds
NEIGHBOURS = range(-2, 6)  # codes around the scale of a block's maximum


class Nvfp4Linear(nn.Module):
    """[..., in] → [..., out]: the weight's block scales are searched for, as with the rounding
    `search`; the input's are those of its blocks' maxima."""

    weight = None  # a module that computes in the type of its layer's weight finds none
    numbers: Tensor
    bias: Tensor | None

    def __init__(self, layer: nn.Linear, largest: float):
        """`largest` is the largest absolute value of the layer's input."""
        super().__init__()
        amax = layer.weight.abs().max().item()
        numbers = rounded(layer.weight.float(), float(nvfp4_scale(amax)), search=True)
        self.register_buffer("numbers", numbers.to(layer.weight.dtype))
        self.register_buffer("bias", layer.bias)
        self.scale = float(nvfp4_scale(largest))

    def forward(self, x: Tensor) -> Tensor:
        narrow = rounded(x.float(), self.scale, search=False)
        return F.linear(narrow.to(x.dtype), self.numbers.to(x.dtype), self.bias)


def rounded(numbers: Tensor, scale: float, search: bool) -> Tensor:
    """float32 numbers [..., K], K a multiple of 16, rounded to NVFP4 and back."""
    chunks = numbers.reshape(-1, BLOCK).split(CHUNK)
    return torch.cat([_rounded(blocks.T, scale, search).T for blocks in chunks]).view_as(numbers)


def _rounded(blocks: Tensor, scale: float, search: bool) -> Tensor:
    """The same of blocks [16, B]."""
    blocks = blocks.contiguous()
    held = _holding(blocks, scale)
    best = held
    least = _error(blocks, held, scale)
    for offset in NEIGHBOURS if search else ():
        other = _neighbour(held, offset)
        error = _error(blocks, other, scale)
        best = torch.where(error < least, other.float(), best.float()).to(E4M3)
        least = torch.minimum(error, least)
    return _dequantised(blocks, best, scale)


def _holding(blocks: Tensor, scale: float) -> Tensor:
    """E4M3 scales [B] with which the largest number of every block is about 6."""
    exact = blocks.abs().amax(0) / float(E2M1_MAX) / scale
    held = exact.clamp(SMALLEST, float(E4M3_MAX))
    return torch.where(exact == 0, 1.0, held).to(E4M3)


def _neighbour(steps: Tensor, offset: int) -> Tensor:
    """The E4M3 numbers `offset` places after these: codes are in order."""
    codes = steps.view(torch.uint8).int() + offset
    return codes.clamp(1, LARGEST_CODE).to(torch.uint8).view(E4M3)


def _dequantised(blocks: Tensor, steps: Tensor, scale: float) -> Tensor:
    unit = steps.float() * scale
    return to_e2m1(blocks / unit) * unit


def _error(blocks: Tensor, steps: Tensor, scale: float) -> Tensor:
    """Squared errors [B] of the blocks."""
    return (_dequantised(blocks, steps, scale) - blocks).square().sum(0)


def to_e2m1(numbers: Tensor) -> Tensor:
    """Round to 0, ½, 1, 1½, 2, 3, 4 and 6, ties to even; larger numbers are clipped."""
    # half the power of two below a number is the distance of its neighbours
    power = numbers.abs().clamp(1, 4).view(torch.int32) & EXPONENT
    step = power.view(torch.float32) / 2
    return ((numbers / step).round() * step).clamp(-float(E2M1_MAX), float(E2M1_MAX))
