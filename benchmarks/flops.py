"""How much one step of a FLUX.1 transformer computes, by formula."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TIME_CHANNELS = 256  # of the sinusoids that diffusers embeds a timestep with


@dataclass(frozen=True)
class Tokens:
    """What one step attends over."""

    target: int
    reference: int
    text: int

    @property
    def image(self) -> int:
        return self.target + self.reference

    @property
    def all(self) -> int:
        return self.image + self.text


@dataclass(frozen=True)
class Work:
    """Floating-point operations of one step, a multiplication with its addition counted as two.

    With width D, S tokens in all and N blocks of both kinds: the blocks' linear layers take
    24·D²·S·N on tokens, for a token meets 12·D² weights in either kind, and 2·D²·(12 a double block
    + 3 a single one) on one row of modulations; scores and weighted sums take 4·S²·D·N. `rest` is
    embedders and the final layers."""

    blocks: float
    rest: float
    attention: float

    @classmethod
    def of(cls, config: Mapping[str, Any], tokens: Tokens) -> Work:
        """For FluxTransformer2DModel's `config`, without guidance embedding, and a batch of one."""
        width = config["num_attention_heads"] * config["attention_head_dim"]
        double = config["num_layers"]
        single = config["num_single_layers"]
        channels = config["in_channels"]
        conditioning = config["joint_attention_dim"]
        return cls(
            blocks=24 * width**2 * tokens.all * (double + single)
            + 2 * width**2 * (12 * double + 3 * single),
            rest=2
            * width
            * (
                2 * channels * tokens.image
                + conditioning * tokens.text
                + TIME_CHANNELS
                + config["pooled_projection_dim"]
                + 4 * width
            ),
            attention=4 * tokens.all**2 * width * (double + single),
        )

    @property
    def total(self) -> float:
        return self.blocks + self.rest + self.attention

    def least_seconds(self, precision: str, peaks: Mapping[str, float]) -> float:
        """At the matrix units' `peaks`, operations a second: FP8 multiplies the blocks' linear
        layers only."""
        return self.blocks / peaks[precision] + (self.rest + self.attention) / peaks["bf16"]
