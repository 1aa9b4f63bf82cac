"""A linear layer in FP8 (E4M3), on matrix units, or emulated with the same numbers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retouch.util.gpu_machine import FP8_CAPABILITY

E4M3 = torch.float8_e4m3fn
LARGEST = 448.0  # of E4M3
MULTIPLE = 16  # of both sizes of a weight for torch._scaled_mm


def multiplies_fp8(device: torch.device) -> bool:
    """Whether `device` has matrix units for E4M3."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= FP8_CAPABILITY


def to_fp8(numbers: Tensor, scale: Tensor) -> Tensor:
    """`numbers` / `scale` as E4M3: rounded to nearest, ties to even, and clamped to the largest."""
    return (numbers.float() / scale).clamp(-LARGEST, LARGEST).to(E4M3)


class Fp8Linear(nn.Module):
    """[..., in] → [..., out] in the input's type: input and weight in E4M3, sums in float32,
    rounded once.

    Scales are float32 scalars, one a tensor. Layers that share an activation should share the
    tensor object `scale`, so that a compiler rounds the activation once. With powers of two the
    native and the emulated way differ in the order of sums only."""

    weight = None  # a module that computes in the type of its layer's weight finds none
    numbers: Tensor
    weight_scale: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(
        self,
        weight: Tensor,
        weight_scale: Tensor,
        scale: Tensor,
        bias: Tensor | None = None,
        native: bool | None = None,
    ):
        """`weight` is E4M3 [out, in]. `native` multiplies by torch._scaled_mm; the default is where
        the device has the matrix units."""
        super().__init__()
        self.rows, self.columns = weight.shape
        self.native = multiplies_fp8(weight.device) if native is None else native
        self.register_buffer("numbers", _padded(weight))
        self.register_buffer("weight_scale", weight_scale)
        self.register_buffer("scale", scale)
        self.register_buffer(
            "bias", None if bias is None else F.pad(bias, (0, -self.rows % MULTIPLE))
        )

    def forward(self, x: Tensor) -> Tensor:
        missing = self.numbers.shape[1] - self.columns
        narrow = to_fp8(F.pad(x, (0, missing)) if missing else x, self.scale).flatten(0, -2)
        product = self._native(narrow, x.dtype) if self.native else self._wide(narrow).to(x.dtype)
        return product[:, : self.rows].unflatten(0, x.shape[:-1])

    def _native(self, narrow: Tensor, dtype: torch.dtype) -> Tensor:
        """Fast accumulation, which Hopper's FP8 rate needs, keeps about 14 bits of a sum; E4M3 has
        4."""
        return torch._scaled_mm(  # pyright: ignore[reportPrivateImportUsage]
            narrow,
            self.numbers.t(),
            scale_a=self.scale,
            scale_b=self.weight_scale,
            bias=self.bias,
            out_dtype=dtype,
            use_fast_accum=True,
        )

    def _wide(self, narrow: Tensor) -> Tensor:
        product = F.linear(narrow.float(), self.numbers.float()) * (self.scale * self.weight_scale)
        return product if self.bias is None else product + self.bias.float()

    def extra_repr(self) -> str:
        return f"in_features={self.columns}, out_features={self.rows}, native={self.native}"


def _padded(weight: Tensor) -> Tensor:
    """`weight` with zeros up to multiples of MULTIPLE."""
    rows, columns = (-size % MULTIPLE for size in weight.shape)
    if not rows and not columns:
        return weight.contiguous()
    return F.pad(weight.view(torch.uint8), (0, columns, 0, rows)).view(E4M3)
