"""A whole edit: the ONNX stages, one after the other as the server runs them, against the torch
pipeline."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from PIL import Image

from outside import assert_outside_is_the_sources
from retouch.api.geometry import BUCKETS
from retouch.backends.onnx import OnnxBackend
from retouch.families.instructx.pipeline import RetouchPipeline
from retouch.offline.plain_loop import PlainLoop

TOLERANCE = 1e-3  # of the largest latent; measured are 1e-5 to 5e-4
SENTENCE = "make the red circle blue"
STEPS = 6


@pytest.fixture(scope="module")
def pipeline(folder):
    return RetouchPipeline.from_pretrained(folder)


@pytest.fixture(scope="module")
def stages(repository):
    """In float32 as the pipeline is: bfloat16 would round each at other places."""
    return PlainLoop(repository, backend=partial(OnnxBackend, rounded=False))


def edit(stages, pixels, region, seed, previews=0):
    """What the parser said, and all progress of the denoiser."""
    (parsed,) = stages.parser.run(pixels[None], [SENTENCE])
    return parsed, list(stages.denoise(pixels, parsed, region, seed, STEPS, 0.0, previews))


def picture(size):
    return np.random.default_rng(3).integers(0, 256, (*size, 3), np.uint8)


def relative(ours, theirs):
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


@pytest.mark.parametrize("size", BUCKETS)
@pytest.mark.parametrize("share", (0.2, 1.0))
def test_latents_after_a_whole_edit(pipeline, stages, size, share):
    pixels = picture(size)
    cells = size[0] * size[1] // 256
    region = np.random.default_rng(0).random(cells) <= share
    image = Image.fromarray(pixels)
    expected = pipeline(image, SENTENCE, seed=5, steps=STEPS, region=region, output_type="latent")
    _, progress = edit(stages, pixels, region, seed=5)
    assert relative(progress[-1].latents, expected.image[0]) <= TOLERANCE


@pytest.mark.parametrize("size", BUCKETS)
def test_pixels_and_understanding(pipeline, stages, size):
    pixels = picture(size)
    region = np.ones(size[0] * size[1] // 256, bool)
    parsed, progress = edit(stages, pixels, region, seed=5, previews=3)
    reading = pipeline.parse(pixels, SENTENCE)
    assert (
        relative(stages.connector.run(parsed.queries[None]), reading.conditioning.numpy()) <= 1e-4
    )
    assert [(o.op, o.target, o.value) for o in parsed.operations] == [
        (o.op, o.target, o.value) for o in reading.operations
    ]
    np.testing.assert_array_equal(parsed.region, reading.region)
    previews = [update.preview for update in progress if update.preview is not None]
    assert [preview.shape for preview in previews] == [(size[0] // 4, size[1] // 4, 3)] * 3
    latents = progress[-1].latents
    ours = stages.decoder.run(latents[None])[0]
    theirs = pipeline.decode(latents[None])
    assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_a_preview_is_of_the_pipelines_clean_tokens(pipeline, stages):
    pixels = picture((128, 128))
    region = np.ones(64, bool)
    seen = {}
    latents = pipeline.encode(pixels)
    reading = pipeline.parse(pixels, SENTENCE)
    pipeline.denoise(latents, reading, region, 5, STEPS, seen.__setitem__)
    _, progress = edit(stages, pixels, region, seed=5, previews=STEPS - 1)
    for update in progress[:-1]:
        expected = stages.denoiser._preview_map.image(seen[update.step], (8, 8))
        assert np.abs(update.preview.astype(int) - expected).max() <= 1


def test_cells_outside_the_region_keep_the_sources_latents(stages):
    pixels = picture((128, 128))
    region = np.zeros(64, bool)
    region[9:12] = True
    _, progress = edit(stages, pixels, region, seed=1)
    source = stages.encoder.run(pixels[None])[0]
    edited = progress[-1].latents
    side = source.shape[1] // 8
    outside = ~np.kron(region.reshape(8, 8), np.ones((side, side), bool))
    np.testing.assert_array_equal(edited[:, outside], source[:, outside])
    assert (edited != source)[:, ~outside].all()


def test_parser_alone_and_among_others(stages):
    """Bit for bit, whatever the other sentences' lengths."""
    pixels = np.stack([picture((128, 128))] * 3)
    sentences = [SENTENCE, "remove it", SENTENCE + " and move the large green star to the top left"]
    for together, image, sentence in zip(stages.parser.run(pixels, sentences), pixels, sentences):
        (alone,) = stages.parser.run(image[None], [sentence])
        np.testing.assert_array_equal(together.queries, alone.queries)
        assert together.to_json() == alone.to_json()


def test_outside_of_a_mask_every_bit_is_the_sources(stages):
    assert_outside_is_the_sources(stages, ((100, 130), (128, 128), (200, 90)), steps=2)
