"""Peak speed of this machine's matrix units and attention kernels, on random numbers."""

from __future__ import annotations

import contextlib

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.flops import Tokens
from benchmarks.timing import Timing, timed
from retouch.networks.fp8_linear import E4M3

REPEAT = 10  # products a sample
KERNELS = {"cudnn": SDPBackend.CUDNN_ATTENTION, "flash": SDPBackend.FLASH_ATTENTION}


def attending(kernel: str) -> contextlib.AbstractContextManager:
    """A context in which torch computes attention by `kernel`; "default" leaves the choice to
    torch."""
    return contextlib.nullcontext() if kernel == "default" else sdpa_kernel(KERNELS[kernel])


def products(device: torch.device, size: int, count: int) -> dict[str, tuple[Timing, float]]:
    """Time and operations a second of a square product, by precision."""
    one = torch.ones((), device=device)
    wide = [torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2)]
    narrow = [matrix.to(E4M3) for matrix in wide]
    ways = {
        "bf16": lambda: wide[0] @ wide[1].t(),
        "fp8": lambda: torch._scaled_mm(
            narrow[0],
            narrow[1].t(),
            scale_a=one,
            scale_b=one,
            out_dtype=torch.bfloat16,
            use_fast_accum=True,
        ),
    }
    times = {name: timed(way, device, count, repeat=REPEAT) for name, way in ways.items()}
    return {name: (time, 2 * size**3 / time.median) for name, time in times.items()}


def attentions(
    device: torch.device, tokens: Tokens, heads: int, head: int, count: int
) -> dict[str, tuple[Timing, float]]:
    """Time and operations a second of one layer's attention in bfloat16, by each kernel that runs
    here."""
    q, k, v = (
        torch.randn(1, heads, tokens.all, head, device=device, dtype=torch.bfloat16)
        for _ in range(3)
    )
    kernels = {}
    for kernel in ("default", *KERNELS) if device.type == "cuda" else ("default",):
        with (
            attending(kernel),
            contextlib.suppress(RuntimeError),
        ):  # what torch says of a kernel that is not here
            time = timed(
                lambda: F.scaled_dot_product_attention(q, k, v), device, count, repeat=REPEAT
            )
            kernels[kernel] = time, 4 * tokens.all**2 * heads * head / time.median
    return kernels
