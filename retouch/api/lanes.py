"""Lanes: one denoiser a precision, and one more for every adapter that is merged into it."""

from __future__ import annotations

import re

LANES = ("bf16", "fp8", "fp4")  # the widest first
POLICIES = ("auto", "draft", "balanced", "best")
PRECISIONS = (*POLICIES, *LANES)
ADAPTER_NAME = (
    r"(?=.{1,40}$)[a-z0-9]+(?:-[a-z0-9]+)*"  # the lane of `sketch` in bf16 is bf16-sketch
)


def precision_of(lane: str) -> str:
    """The number format of a lane: bf16 of bf16 and of bf16-sketch."""
    return lane.partition("-")[0]


def is_adapted(lane: str) -> bool:
    """Whether it is the name of a lane with an adapter, loaded or not."""
    precision, hyphen, adapter = lane.partition("-")
    return bool(precision in LANES and hyphen and re.fullmatch(ADAPTER_NAME, adapter))
