"""The families of checkpoints: what each has its diffusion transformer fed with, step by step.
numpy only.

A family is chosen by the name in a lane's manifest and made of the lane's settings. The loop around
it, which edits share a step, what is remembered and what is sent, is the same for all of them."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from retouch.families.denoise_request import Arrays, DenoiseRequest, Size

# name in the manifest: module and class, imported when a lane of it is loaded
FAMILIES = {
    "instructx": ("retouch.families.instructx.sampling", "InstructX"),
    "flux-kontext": ("retouch.families.flux_kontext.sampling", "Kontext"),
    "flux2-klein-kv": ("retouch.families.flux2_klein.sampling", "Flux2KleinKV"),
    "qwen-image-edit": ("retouch.families.qwen_image_edit.sampling", "QwenImageEdit"),
}


class Family(Protocol):
    """Made as `Family(settings)` of a lane's settings. Arrays are float32 and, as edits are,
    without a batch dimension, but for a graph's inputs, which all have it, 1, in front.

    `keeps`: the reference's keys and values come from a graph of their own, `reference`, once an
    image; otherwise its tokens are in every step's inputs. `partial`: a step can take any subset of
    the target's tokens. `negatives`: it can be led away from an instruction, `negative` and by
    `true_cfg` where a request says nothing (1: not at all). At most so many `references` beside the
    edited image. Pixels that an edit moves by fewer grey levels than `keep_below` are the source's.
    `guidance` is the default strength of a network that has it embedded, None where a request's has
    no use.

    What is planned or measured for ahead: `spans` are the smallest, the usual and the largest size
    at which images are edited, of each kind of size that deserves a plan of its own, the largest
    kind first; `words` are the tokens of a conditioning at least, usually and at most."""

    keeps: bool
    partial: bool
    negatives: bool
    negative: str
    true_cfg: float
    references: int
    keep_below: int
    guidance: float | None
    spans: Sequence[tuple[Size, Size, Size]]
    words: tuple[int, int, int]

    def shapes(self, size: Size, words: int) -> tuple[tuple[int, ...], dict[str, tuple[int, ...]]]:
        """Of the latents of an image edited at `size`, and of a conditioning of so many tokens, by
        name."""

    def size(self, height: int, width: int) -> Size:
        """The height and width in pixels at which an image of that height and width is edited."""

    def grid(self, latents: np.ndarray) -> tuple[int, int]:
        """Rows and columns of tokens of latents [C, h, w]."""

    def pack(self, latents: np.ndarray) -> np.ndarray:
        """Latents [C, h, w] → tokens [N, D]."""

    def unpack(self, tokens: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
        """Tokens [N, D] of a grid → latents [C, h, w]."""

    def noise(self, seed: int, latents: np.ndarray) -> np.ndarray:
        """The seed's noise for a target as large as `latents` [C, h, w], as tokens [N, D]."""

    def sigmas(self, steps: int, cells: int) -> np.ndarray:
        """Noise levels [steps + 1] before each step and after the last, for a target of so many
        tokens."""

    def reference(self, latents: np.ndarray, *more: np.ndarray) -> Arrays:
        """The inputs of `reference` for a source and further images, where the family `keeps` it.
        It is given no further ones than its `references` allow."""

    def fixed(self, wanted: DenoiseRequest, conditioning: Arrays, cells: np.ndarray) -> Arrays:
        """The inputs of `step` that are the same at every step, for the target's tokens `cells`,
        but the kept reference."""

    def varying(self, wanted: DenoiseRequest, tokens: np.ndarray, sigma: np.float32) -> Arrays:
        """Its inputs at noise level `sigma`, for the noisy tokens [n, D]. The graph's velocity is
        theirs, first."""

    def guided(self, positive: np.ndarray, negative: np.ndarray, scale: float) -> np.ndarray:
        """One velocity [n, D] of those with and against the negative instruction (classifier-free
        guidance)."""


def family_of(name: str, settings: dict[str, Any]) -> Family:
    """The family called `name`; ValueError."""
    if name not in FAMILIES:
        raise ValueError(f"the family {name!r} is unknown; there are {', '.join(FAMILIES)}")
    module, kind = FAMILIES[name]
    return getattr(importlib.import_module(module), kind)(settings)
