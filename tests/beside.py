"""The torch runner beside ONNX Runtime's, on one lane of the shipped checkpoint and any device."""

from __future__ import annotations

import io
from functools import partial

import numpy as np
from PIL import Image

from retouch.api.request import EditRequest
from retouch.backends.onnx import OnnxBackend
from retouch.backends.torch import TorchBackend
from retouch.diffusion.beside import channel_counts
from retouch.diffusion.latents import conditioning_ids, reference_ids, target_ids
from retouch.launcher.server import REPOSITORY, ROOT
from retouch.offline.plain_loop import PlainLoop

GRIDS = ((8, 8), (6, 10), (10, 6))
SAMPLE = (ROOT / "checkpoints" / "photo" / "shapes.png").read_bytes()
SENTENCES = (
    "make the red circle blue",
    "remove the green square",
    "change the background to white",
)
QUERIES = 8
WIDTH = 192
SLOTS = 2
BESIDE = channel_counts(WIDTH, SLOTS, QUERIES * WIDTH)[-1]


def folder_of(lane, repository=REPOSITORY):
    return repository / f"denoiser_{lane}" / "1"


def inputs(grid, count, seed=0):
    """For both graphs: a source of the grid's cells, and `count` of them as a target."""
    rng = np.random.default_rng(seed)

    def noise(*shape):
        return rng.standard_normal((1, *shape), np.float32)

    ids = reference_ids(grid)[None]
    source = {"tokens": noise(ids.shape[1], WIDTH), "ids": ids}
    target = {
        "tokens": noise(count, WIDTH),
        "beside": noise(count, BESIDE),
        "timestep": np.array([0.7], np.float32),
        "conditioning": noise(QUERIES, WIDTH),
        "ids": target_ids(grid)[None, :count],
        "conditioning_ids": conditioning_ids(
            rng.random((1, 2, 2, 4), np.float32), grid, QUERIES // SLOTS
        ),
    }
    return source, target


class Pass:
    """Both graphs of a lane by one runner."""

    def __init__(self, kind, folder, **options):
        self.reference = kind(folder, "reference", keep=("k", "v"), **options)
        self.step = kind(folder, "step", **options)

    def run(self, source, target):
        """k, v and velocity, the first two as the runner keeps them."""
        kept = self.reference.run(**source)
        return kept | self.step.run(**target, **kept)


def distance(ours, theirs):
    """The norm of the difference over the norm, by output."""
    pairs = {
        name: (np.asarray(ours[name]), np.asarray(theirs[name])) for name in ("k", "v", "velocity")
    }
    return {
        name: float(np.linalg.norm(one - other) / np.linalg.norm(other))
        for name, (one, other) in pairs.items()
    }


def distances(folder, grid, count, seeds=(0,), **options):
    """Of the torch runner from ONNX Runtime's; of both from the same network in float32 between its
    FP8 roundings.

    FP8 makes small differences large: what bfloat16 rounds differently falls to the next E4M3
    number now and then. One output is therefore a draw, and the last bits of a processor's sums
    decide it: over several `seeds`, whose root mean square this gives, the draws even out."""
    torched = Pass(TorchBackend, folder, **options)
    onnx = Pass(OnnxBackend, folder)
    unrounded = Pass(OnnxBackend, folder, rounded=False)
    rows = []
    for seed in seeds:
        step_inputs = inputs(grid, count, seed)
        ours = torched.run(*step_inputs)
        theirs = onnx.run(*step_inputs)
        exact = unrounded.run(*step_inputs)
        rows.append((distance(ours, theirs), distance(ours, exact), distance(theirs, exact)))
    return tuple(map(_mean_square_root, zip(*rows)))


def _mean_square_root(rows):
    """By output."""
    return {name: float(np.sqrt(np.mean([row[name] ** 2 for row in rows]))) for name in rows[0]}


def loop(lane, **options):
    return PlainLoop(REPOSITORY, lane, partial(TorchBackend, **options))


def edited(stages, sentence, seed=1):
    """uint8 [H, W, 3]"""
    with Image.open(io.BytesIO(stages.edit(EditRequest(SAMPLE, sentence, seed=seed)))) as image:
        return np.asarray(image)


def psnr(ours, theirs):
    """In dB, infinite for equal pictures."""
    error = np.square(ours.astype(float) - theirs).mean()
    return np.inf if error == 0 else 10 * np.log10(255**2 / error)
