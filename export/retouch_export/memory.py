"""How much of a GPU's memory edits take: an estimate by formula, and how many fit.

With B edits of side × side pixels in a step, D the transformer's width and L its blocks:

    weights    the lane's bytes, by tier beside     2 bytes a number of the text encoders, the VAE
    and what else the checkpoint has, all in bfloat16 step       B · S · D · 2 bytes · COPIES; S =
    text + target + reference tokens, a token being 16 × 16 pixels kept       B · L · 2 · R · D · 2
    bytes: keys and values of the R reference tokens, where they are kept and not in S decoding
    side² · C · 2 bytes · DECODED, one image at a time; C the VAE's channels at full resolution
    reserve    RESERVE for CUDA itself, workspaces, the text encoder's activations and remembered
    references

COPIES is how many tensors [S, D] are alive at the peak of diffusers' own module, every operation by
itself and attention in one kernel that keeps no S × S matrix; DECODED likewise of the decoder. Both
were counted operator by operator at the real widths (a test repeats that). Kernels that fuse need
less, so what is said to fit should, but for attention that is not fused. The reference is as large
as the target, and there is one. True classifier-free guidance takes time and no memory: its two
runs come one after the other. GB are 10⁹ bytes; GPUs report a little more than their names say."""

from __future__ import annotations

from dataclasses import dataclass

from retouch.api.geometry import CELL
from retouch_export.pipeline import Pipeline

WIDE = 2  # bytes of a number in bfloat16
COPIES = {
    "FluxTransformer2DModel": 17.3,
    "Flux2Transformer2DModel": 21.8,
    "QwenImageTransformer2DModel": 14.8,
}
DECODED = {"AutoencoderKL": 6.1, "AutoencoderKLFlux2": 6.1, "AutoencoderKLQwenImage": 18.1}
RESERVE = 2e9
MOST = 16  # edits: more are not told apart


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
    """Bytes: `fixed` whatever is asked, `beside` for the other networks, `edit` for each edit in a
    step."""

    side: int
    fixed: float
    beside: float
    edit: float

    def batch(self, gigabytes: float, whole: bool) -> int:
        """How many edits a step can have, at most MOST; `whole` with the text encoder, the VAE and
        the rest on the same GPU."""
        left = gigabytes * 1e9 - self.fixed - (self.beside if whole else 0)
        return max(0, min(MOST, int(left // self.edit)))


@dataclass(frozen=True)
class Sizes:
    """Of the transformer and the VAE, by their configs."""

    transformer: str
    width: int
    blocks: int
    vae: str = "AutoencoderKL"
    channels: int = 128

    @classmethod
    def of(cls, transformer: dict, vae: dict) -> Sizes:
        """ValueError when a config is of a class that has not been counted."""
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


# what a config that does not say has, as the classes of diffusers 0.42.1
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
}


def demand(pipeline: Pipeline, sizes: Sizes, side: int, weights: float, others: int) -> Demand:
    """Of a lane with so many bytes of `weights`, with `others` parameters around the
    transformer."""
    target = reference = (side // CELL) ** 2
    tokens = pipeline.text_tokens + target + (0 if pipeline.caches_reference else reference)
    step = tokens * sizes.width * WIDE * COPIES[sizes.transformer]
    kept = sizes.blocks * 2 * reference * sizes.width * WIDE if pipeline.caches_reference else 0
    decoding = side**2 * sizes.channels * WIDE * DECODED[sizes.vae]
    return Demand(side, weights + RESERVE, others * WIDE + decoding, step + kept)
