"""GPU memory of edits, estimated by formulas, and how many edits fit.

B is the number of edits of side × side pixels in a step, D the transformer's width, L its blocks:

    weights    the lane's bytes, by tier
    beside     2 bytes a number of the text encoders, the VAE and other networks, in bfloat16
    step       B · S · D · 2 bytes · COPIES; S are text, target and reference tokens
    cache      B · L · 2 · R · D · 2 bytes: keys and values of the R reference tokens, if they are
               cached and not in S
    decoding   side² · C · 2 bytes · DECODED for one image; C are the VAE's channels at full size
    reserve    RESERVE for CUDA, workspaces, the text encoder's activations and the reference cache

A token is 16 × 16 pixels. COPIES is the number of live tensors [S, D] at the peak of diffusers'
module, with unfused operations, and attention in one kernel without an S × S matrix. DECODED is
that of the decoder. Both were counted operator by operator at the real widths, and a test repeats
this. Fused kernels need less; only unfused attention needs more.

There is one reference, as large as the target. True classifier-free guidance takes no memory,
because its two runs are sequential. GB are 10⁹ bytes; GPUs report slightly more than their names
say."""

from __future__ import annotations

from dataclasses import dataclass

from retouch.api.geometry import CELL
from retouch_export.pipeline import Pipeline

WIDE = 2  # bytes of a number in bfloat16
COPIES = {
    "FluxTransformer2DModel": 17.3,
    "Flux2Transformer2DModel": 21.8,
    "QwenImageTransformer2DModel": 14.8,
    "QwenImage21Transformer2DModel": 17.4,
}
DECODED = {
    "AutoencoderKL": 6.1,
    "AutoencoderKLFlux2": 6.1,
    "AutoencoderKLQwenImage": 18.1,
    "AutoencoderKLQwenImage21": 33.6,
}
RESERVE = 2e9
MOST = 16  # edits; larger batches are not distinguished


@dataclass(frozen=True)
class Gpu:
    name: str
    gigabytes: int
    lanes: tuple[str, ...] = ("bf16", "fp8", "fp4")


GPUS = (
    Gpu("B200", 180),
    Gpu("RTX PRO 6000", 96),
    Gpu("RTX 5090", 32),
    Gpu("H100", 80, ("bf16", "fp8")),
    Gpu("L40S", 48, ("bf16", "fp8")),
)


@dataclass(frozen=True)
class Demand:
    """Bytes of memory: `fixed` in any case, `beside` for the other networks, and `edit` for every
    edit in a step, of which `kept` are cached keys and values."""

    side: int
    fixed: float
    beside: float
    edit: float
    kept: float = 0.0

    def batch(self, gigabytes: float, whole: bool) -> int:
        """The number of edits that fit into a step, at most MOST. With `whole` the other networks
        are on the same GPU."""
        left = gigabytes * 1e9 - self.fixed - (self.beside if whole else 0)
        return max(0, min(MOST, int(left // self.edit)))


@dataclass(frozen=True)
class Sizes:
    """Sizes of the transformer and the VAE, by their configs."""

    transformer: str
    width: int
    blocks: int
    vae: str = "AutoencoderKL"
    channels: int = 128

    @classmethod
    def of(cls, transformer: dict, vae: dict) -> Sizes:
        """The sizes in two configs; ValueError for a class that has not been counted."""
        kind = transformer.get("_class_name")
        decoder = vae.get("_class_name", "AutoencoderKL")
        if kind not in COPIES or decoder not in DECODED:
            raise ValueError(f"the memory of {kind} and {decoder} has not been counted")
        defaults = DEFAULTS[kind] | transformer
        channels = vae.get("base_dim") or (vae.get("block_out_channels") or [128])[0]
        return cls(
            kind,
            defaults["num_attention_heads"] * defaults["attention_head_dim"],
            defaults["num_layers"] + defaults.get("num_single_layers", 0),
            decoder,
            channels,
        )


# defaults of the classes in diffusers 0.42.1
HEADS = {"num_attention_heads": 24, "attention_head_dim": 128}
DEFAULTS = {
    "FluxTransformer2DModel": {"num_layers": 19, "num_single_layers": 38, **HEADS},
    "Flux2Transformer2DModel": {
        "num_layers": 8,
        "num_single_layers": 48,
        **HEADS,
        "num_attention_heads": 48,
    },
    "QwenImageTransformer2DModel": {"num_layers": 60, **HEADS},
    "QwenImage21Transformer2DModel": {"num_layers": 32, **HEADS, "num_attention_heads": 32},
}


def demand(pipeline: Pipeline, sizes: Sizes, side: int, weights: float, others: int) -> Demand:
    """The demand of a lane with `weights` bytes, and `others` parameters in the other networks."""
    target = reference = (side // CELL) ** 2
    tokens = pipeline.text_tokens + target + (0 if pipeline.caches_reference else reference)
    step = tokens * sizes.width * WIDE * COPIES[sizes.transformer]
    kept = sizes.blocks * 2 * reference * sizes.width * WIDE if pipeline.caches_reference else 0
    decoding = side**2 * sizes.channels * WIDE * DECODED[sizes.vae]
    return Demand(side, weights + RESERVE, others * WIDE + decoding, step + kept, kept)
