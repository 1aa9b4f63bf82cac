"""Edits of noise that a compiling runner runs before its model is ready: no client waits for the
compiler."""

from __future__ import annotations

import re

import numpy as np

from retouch.engine.denoiser import Denoiser
from retouch.families.base import Family
from retouch.families.connector import Connector
from retouch.families.denoise_request import Arrays, DenoiseRequest, Size
from retouch.families.instructx.parser import ParseInput, Parser
from retouch.families.text_stage import TextStage
from retouch.families.vae import VaeDecoder, VaeEncoder
from retouch.imaging import images
from retouch.util import env

SENTENCE = "make the red circle blue"
SIZE = re.compile(r"([1-9]\d{1,4})x([1-9]\d{1,4})")

Stage = Parser | TextStage | Connector | VaeEncoder | VaeDecoder | Denoiser


def warm_up(stage: Stage, family: Family) -> None:
    """Run the stage at the sizes of the environment, if its backend compiles; ValueError for other
    sizes."""
    sizes = {family.size(*size) for size in sizes_of(env.WARMUP.get())}
    if not stage.compiles:
        return
    for size in sorted(sizes):
        _run(stage, family, size)


def sizes_of(text: str) -> list[Size]:
    """Heights and widths in pixels, written as 1024x1024,768x1360; ValueError."""
    matches = [SIZE.fullmatch(part.strip()) for part in text.split(",")] if text else []
    if not all(matches):
        raise ValueError(
            f"{env.WARMUP.name} is {text!r}; it must be sizes in pixels, as 1024x1024,768x1360"
        )
    return [(int(match[1]), int(match[2])) for match in matches if match]


def _run(stage: Stage, family: Family, size: Size) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    latents, conditioning = _edit(family, size)
    if isinstance(stage, VaeEncoder):
        stage.run(pixels[None])
    elif isinstance(stage, VaeDecoder):
        stage.run(latents[None])
    elif isinstance(stage, Connector):
        stage.run(np.zeros((1, *stage.queries), np.float32))
    elif isinstance(stage, Denoiser):
        cells = np.ones(len(family.pack(latents)), bool)
        _denoise(stage, DenoiseRequest(latents, conditioning, cells, seed=0, steps=1))
    else:
        stage.parse([ParseInput([images.encode(pixels)], pixels, SENTENCE)])


def _denoise(denoiser: Denoiser, request: DenoiseRequest) -> None:
    """One step of one edit, and one of two: a batch of one is compiled for itself."""
    list(denoiser.run(request))
    edits = [denoiser.begin(request) for _ in range(2)]
    denoiser.step(edits)
    for edit in edits:
        denoiser.end(edit)


def _edit(family: Family, size: Size) -> tuple[np.ndarray, Arrays]:
    """Latents and conditioning of noise for an image of `size`."""
    noise = np.random.default_rng(0)
    latents, shapes = family.shapes(size, family.text_tokens[1])
    return noise.standard_normal(latents, np.float32), {
        name: noise.standard_normal(shape, np.float32) for name, shape in shapes.items()
    }
