"""FLUX.1's transformer with random weights, in bfloat16 and with FP8 blocks: diffusers' module, at
full size or tiny.

The reference's tokens stand behind the target's, as in FLUX.1 Kontext.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import FluxTransformer2DModel
from torch import Tensor

from benchmarks.flops import Tokens, Work
from benchmarks.narrowing import narrow
from benchmarks.peak import attending
from retouch.backends import torch_compile
from retouch_export.dtype import parameters_in

# FLUX.1's own settings are diffusers' defaults; 1024 × 1024 is 64 × 64 tokens
FULL = {}, Tokens(target=64 * 64, reference=64 * 64, text=512)
TINY = (
    {
        "num_layers": 1,
        "num_single_layers": 1,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "in_channels": 16,
        "joint_attention_dim": 32,
        "pooled_projection_dim": 24,
        "axes_dims_rope": (4, 6, 6),
    },
    Tokens(target=4 * 4, reference=4 * 4, text=8),
)
SETTINGS = "settings.json"


@dataclass(frozen=True)
class Settings:
    """`precision` is bf16 or fp8; `attention` the name of a kernel (`benchmarks.peak.KERNELS`) or
    "default"."""

    tiny: bool
    precision: str
    compiled: bool
    attention: str
    device: str

    @classmethod
    def read(cls, folder: Path) -> Settings:
        return cls(**json.loads((folder / SETTINGS).read_text()))

    def write(self, folder: Path) -> None:
        (folder / SETTINGS).write_text(json.dumps(asdict(self)))


class Flux:
    """One transformer on a device, weights drawn there from a fixed seed."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.device = torch.device(settings.device)
        config, self.tokens = TINY if settings.tiny else FULL
        torch.manual_seed(0)
        with parameters_in(torch.bfloat16), self.device:
            self.model = FluxTransformer2DModel(**config).eval().requires_grad_(False)
        self._ids = self._positions()
        self._sigma = torch.full((1,), 0.7, device=self.device)
        self.inputs = self.tensors(inputs(settings.tiny))
        if settings.precision == "fp8":
            narrow(self.model, lambda: self.step(**self.inputs))
        if settings.compiled:
            self.compile()

    @property
    def work(self) -> Work:
        return Work.of(self.model.config, self.tokens)

    def compile(self) -> None:
        """One compilation for all blocks of a kind."""
        torch_compile.prepare()
        # a CPU only tries the script: "lite" keeps torch's own kernels, for C++ ones take a minute
        # or two
        mode = "lite" if self.device.type == "cpu" else None
        self.model.compile_repeated_blocks(fullgraph=True, mode=mode)

    def tensors(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """Of one edit, in bfloat16 on the device, with a batch dimension."""
        made = {"device": self.device, "dtype": torch.bfloat16}
        return {name: torch.tensor(array, **made)[None] for name, array in arrays.items()}

    @torch.no_grad()
    def step(self, tokens: Tensor, reference: Tensor, text: Tensor, pooled: Tensor) -> Tensor:
        """The velocity [1, N, C] of the target's `tokens`."""
        image_ids, text_ids = self._ids
        with attending(self.settings.attention):
            (velocity,) = self.model(
                hidden_states=torch.cat([tokens, reference], 1),
                encoder_hidden_states=text,
                pooled_projections=pooled,
                timestep=self._sigma,
                img_ids=image_ids,
                txt_ids=text_ids,
                return_dict=False,
            )
        return velocity[:, : tokens.shape[1]]

    def edit(self, steps: int, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """The target's tokens [N, C] after `steps` of Euler's method, from numpy to numpy: what a
        request asks for."""
        inputs = self.tensors(arrays)
        tokens = inputs.pop("tokens")
        for _ in range(steps):
            tokens = tokens - self.step(tokens, **inputs) / steps
        return tokens[0].float().cpu().numpy()

    def _positions(self) -> tuple[Tensor, Tensor]:
        """Ids [image, 3] and [text, 3]; the reference's have a 1 where the target's have a 0."""
        side = int(self.tokens.target**0.5)
        axes = torch.arange(2.0), torch.arange(float(side)), torch.arange(float(side))
        return torch.cartesian_prod(*axes).to(self.device), torch.zeros(
            self.tokens.text, 3, device=self.device
        )


def inputs(tiny: bool) -> dict[str, np.ndarray]:
    """Random numbers of one edit: tokens [N, C], reference [R, C], text [T, J], pooled [P]."""
    config, tokens = TINY if tiny else FULL
    rng = np.random.default_rng(0)
    channels = config.get("in_channels", 64)
    shapes = {
        "tokens": (tokens.target, channels),
        "reference": (tokens.reference, channels),
        "text": (tokens.text, config.get("joint_attention_dim", 4096)),
        "pooled": (config.get("pooled_projection_dim", 768),),
    }
    return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
