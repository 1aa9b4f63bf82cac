"""A linear layer in FP8 (E4M3): as a matrix unit multiplies it, and the same numbers where there is
none."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

E4M3 = torch.float8_e4m3fn
LARGEST = 448.0  # of E4M3
MULTIPLE = 16  # torch._scaled_mm wants both sizes of a weight in it
CAPABILITY = (8, 9)  # CUDA's from which matrix units take E4M3: Ada, Hopper, Blackwell


def multiplies_fp8(device: torch.device) -> bool:
    """Whether `device` has matrix units for E4M3."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= CAPABILITY


def to_fp8(numbers: Tensor, scale: Tensor) -> Tensor:
    """E4M3 numbers of `numbers` in units of `scale`: to nearest, ties to even, what is too large to
    the largest."""
    return (numbers.float() / scale).clamp(-LARGEST, LARGEST).to(E4M3)


class Fp8Linear(nn.Module):
    """[..., in] → [..., out] in the input's type: input and weight in E4M3, sums in float32,
    rounded once.

    Scales are float32 scalars, one a tensor. Layers that share an activation should share the very
    tensor `scale`: then a compiler sees that it need be rounded only once. With powers of two it
    does not matter where they are multiplied in, and the two ways differ in the order of their sums
    only."""

    def __init__(
        self,
        weight: Tensor,
        weight_scale: Tensor,
        scale: Tensor,
        bias: Tensor | None = None,
        native: bool | None = None,
    ):
        """`weight` is E4M3 [out, in]; torch._scaled_mm multiplies if `native`, by default where it
        is quick."""
        super().__init__()
        self.rows, self.columns = weight.shape
        self.native = multiplies_fp8(weight.device) if native is None else native
        self.register_buffer("weight", _padded(weight))
        self.register_buffer("weight_scale", weight_scale)
        self.register_buffer("scale", scale)
        self.register_buffer(
            "bias", None if bias is None else F.pad(bias, (0, -self.rows % MULTIPLE))
        )

    def forward(self, x: Tensor) -> Tensor:
        missing = self.weight.shape[1] - self.columns
        narrow = to_fp8(F.pad(x, (0, missing)) if missing else x, self.scale).flatten(0, -2)
        product = self._native(narrow, x.dtype) if self.native else self._wide(narrow).to(x.dtype)
        return product[:, : self.rows].unflatten(0, x.shape[:-1])

    def _native(self, narrow: Tensor, dtype: torch.dtype) -> Tensor:
        """Fast accumulation is what Hopper's FP8 rate needs: sums of about 14 bits, which E4M3's 4
        do not notice."""
        return torch._scaled_mm(
            narrow,
            self.weight.t(),
            scale_a=self.scale,
            scale_b=self.weight_scale,
            bias=self.bias,
            out_dtype=dtype,
            use_fast_accum=True,
        )

    def _wide(self, narrow: Tensor) -> Tensor:
        product = F.linear(narrow.float(), self.weight.float()) * (self.scale * self.weight_scale)
        return product if self.bias is None else product + self.bias.float()

    def extra_repr(self) -> str:
        return f"in_features={self.columns}, out_features={self.rows}, native={self.native}"


def _padded(weight: Tensor) -> Tensor:
    """With zeros up to sizes that torch._scaled_mm takes."""
    rows, columns = (-size % MULTIPLE for size in weight.shape)
    if not rows and not columns:
        return weight.contiguous()
    return F.pad(weight.view(torch.uint8), (0, columns, 0, rows)).view(E4M3)
