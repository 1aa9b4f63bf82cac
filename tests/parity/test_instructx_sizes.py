"""InstructX in other sizes than the shipped checkpoint's: what is exported is the pipeline
still."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import PreTrainedTokenizerFast

from exports import exported
from instructx_tiny import CELLS, LANGUAGE, SAID, TOKEN, Made, make_checkpoint
from retouch.api.geometry import BUCKETS
from retouch.artifacts.manifest import verify
from retouch.backends.onnx import OnnxBackend
from retouch.diffusion.region_buckets import rounded
from retouch.families.instructx.pipeline import RetouchPipeline
from retouch.offline.plain_loop import PlainLoop
from shape_pairs import calibration_pairs
from training import tokenizer

QUERIES = 16
SLOTS = 4
SENTENCE = "make the red circle blue"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("sizes")
    fast_tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.run(path / "words", sentences=200)
    )
    make_checkpoint(path, fast_tokenizer, Made(CELLS, QUERIES, SLOTS))
    save_file(
        {"weight": torch.randn(TOKEN, 48), "bias": torch.zeros(48)}, path / "preview.safetensors"
    )
    calibration_pairs(path / "calibration", count=2)
    return path


@pytest.fixture(scope="module")
def repository(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("sizes repository")
    exported(folder, "--repository", path, "--precision", "bf16,fp8,fp4")
    return path


@pytest.fixture(scope="module")
def stages(repository):
    return PlainLoop(repository, backend=partial(OnnxBackend, rounded=False))


def picture(size):
    return np.random.default_rng(3).integers(0, 256, (*size, 3), np.uint8)


def relative(ours, theirs):
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


@pytest.mark.parametrize("share", (0.2, 1.0))
@pytest.mark.parametrize("size", BUCKETS)
def test_a_whole_edit(folder, stages, size, share):
    """Each stage, then the latents and the picture."""
    pipeline = RetouchPipeline.from_pretrained(folder)
    pixels = picture(size)
    grid = size[0] // 16, size[1] // 16
    region = rounded(np.random.default_rng(0).random(grid[0] * grid[1]) <= share, grid)
    (parsed,) = stages.parser.run(pixels[None], [SENTENCE])
    reading = pipeline.parse(pixels, SENTENCE)
    assert parsed.queries.shape == (QUERIES, LANGUAGE) and reading.conditioning.shape == (
        1,
        QUERIES,
        SAID,
    )
    assert (
        relative(stages.connector.run(parsed.queries[None]), reading.conditioning.numpy()) <= 1e-4
    )
    np.testing.assert_allclose(parsed.boxes[None], reading.boxes, atol=1e-4)
    assert relative(stages.encoder.run(pixels[None]), pipeline.encode(pixels)) <= 1e-4
    expected = pipeline(
        Image.fromarray(pixels), SENTENCE, seed=5, steps=4, region=region, output_type="latent"
    ).image
    *_, last = stages.denoise(pixels, parsed, region, 5, 4)
    assert relative(last.latents, expected[0]) <= 1e-3
    assert (
        np.abs(
            stages.decoder.run(last.latents[None])[0].astype(int) - pipeline.decode(expected)
        ).max()
        <= 1
    )


def test_every_lane_serves(repository, stages):
    pixels = picture(BUCKETS[0])
    region = np.ones(64, bool)
    (parsed,) = stages.parser.run(pixels[None], [SENTENCE])
    *_, theirs = stages.denoise(pixels, parsed, region, 5, 4)

    def error(lane):
        *_, ours = PlainLoop(repository, lane).denoise(pixels, parsed, region, 5, 4)
        return np.linalg.norm(ours.latents - theirs.latents) / np.linalg.norm(theirs.latents)

    errors = {lane: error(lane) for lane in ("bf16", "fp8", "fp4")}
    assert errors["bf16"] < errors["fp8"] < errors["fp4"] < 0.3
    assert verify(repository / "denoiser_fp4" / "1").settings["slots"] == SLOTS
