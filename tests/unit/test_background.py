"""BACKGROUND and SIZE: which answers are transparent, where, and how large."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pictures import file_of, scene
from retouch.api.errors import RequestError
from retouch.api.request import EditRequest
from retouch.api.response import EditInfo
from retouch.families.registry import family_of
from retouch.imaging import images
from retouch.routing.router import Choice
from retouch.serving.postprocess import postprocess
from retouch.serving.preprocess import preprocess

OPAQUE_FAMILY = family_of("instructx", {"patch": 8, "shift": 3.0})
FAMILY = family_of(
    "qwen-image-21",
    {
        "area": 128 * 128,
        "axes": (8, 12, 12),
        "text_before": [9, *[5] * 9],
        "scheduler": {"use_dynamic_shifting": True},
    },
)
CHOICE = Choice("bf16", "")
RED = (200, 30, 30)
ALPHA = 77  # of the network's result


def prepared(file, family=FAMILY, **options):
    return preprocess(EditRequest(file, "make it red", **options), CHOICE, family)


def result_of(file, **options):
    """The pixels of an answer to a half-transparent result."""
    source = prepared(file, **options).source
    picture = np.full((*source.bucket, 4), (*RED, ALPHA), np.uint8)
    cells = np.ones(source.grid[0] * source.grid[1], bool)
    answer = postprocess(source, cells, picture, (1, 1), EditInfo("", 0, "bf16"))
    return np.asarray(Image.open(io.BytesIO(answer.image)))


def see_through():
    """A file whose right half is transparent, but not quite."""
    alpha = np.full((128, 128), 255, np.uint8)
    alpha[:, 64:] = 9
    return images.encode(np.dstack([scene(), alpha]))


def upper_half():
    mask = np.zeros((128, 128), np.uint8)
    mask[:64] = 255
    return file_of(mask)


@pytest.mark.parametrize("format", ("png", "webp"))
def test_a_transparent_answer_has_the_networks_alpha(format):
    pixels = result_of(file_of(scene()), background="transparent", format=format)
    assert (pixels == (*RED, ALPHA)).all()


def test_a_mask_keeps_pixels_and_alpha_outside():
    for file in (see_through(), file_of(scene())):
        pixels = result_of(file, background="transparent", region=upper_half())
        before = np.asarray(Image.open(io.BytesIO(file)).convert("RGBA"))
        np.testing.assert_array_equal(pixels[64:], before[64:])
        assert (pixels[:64] == (*RED, ALPHA)).all()


@pytest.mark.parametrize(
    "file, options, channels",
    (
        (file_of(scene()), {}, 3),
        (file_of(scene()), {"background": "opaque"}, 3),
        (see_through(), {}, 4),
        (see_through(), {"background": "opaque"}, 3),
        (see_through(), {"format": "jpeg"}, 3),
    ),
)
def test_other_answers(file, options, channels):
    """Auto is as the source is; opaque, and JPEG, lie on white."""
    pixels = result_of(file, **options)
    assert pixels.shape[2] == channels
    expected = (
        (*RED, ALPHA)
        if channels == 4
        else images.on_white(np.full((1, 1, 4), (*RED, ALPHA), np.uint8))
    )
    assert np.abs(pixels.astype(int) - expected).max() <= 3  # JPEG rounds


def test_an_opaque_background_for_a_result_without_alpha():
    source = prepared(see_through(), OPAQUE_FAMILY, background="opaque").source
    picture = np.full((*source.bucket, 3), RED, np.uint8)
    cells = np.zeros(source.grid[0] * source.grid[1], bool)
    answer = postprocess(source, cells, picture, (1, 1), EditInfo("", 0, "bf16"))
    expected = images.decode(see_through())
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(answer.image))), expected)


def test_the_autoencoder_takes_transparency_where_it_knows_it():
    known = prepared(see_through(), references=(see_through(), file_of(scene())))
    assert [pixels.shape[2] for pixels in (known.vae_pixels, *known.references)] == [4, 4, 3]
    np.testing.assert_array_equal(
        known.vae_pixels[:, :, 3], Image.open(io.BytesIO(see_through())).getchannel("A")
    )
    for other in (prepared(see_through(), OPAQUE_FAMILY), prepared(file_of(scene()))):
        np.testing.assert_array_equal(other.vae_pixels, other.pixels)


def test_the_instruction_asks_for_transparency():
    asked = prepared(file_of(scene()), background="transparent").instruction
    assert "make it red. The image" in asked and asked.startswith("This is an RGBA image")
    assert prepared(file_of(scene())).instruction == "make it red"


def test_what_is_refused():
    file = file_of(scene())
    with pytest.raises(RequestError, match="png or webp") as jpeg:
        prepared(file, background="transparent", format="jpeg")
    with pytest.raises(RequestError, match="family qwen-image-21") as unknown:
        prepared(file, OPAQUE_FAMILY, background="transparent")
    assert {jpeg.value.field, unknown.value.field} == {"BACKGROUND"}
    with pytest.raises(RequestError, match="auto, opaque or transparent"):
        EditRequest(file, "x", background="white").validate()


def test_an_answer_of_its_own_size():
    source = prepared(see_through(), size="64x160").source
    picture = np.full((160, 64, 4), (*RED, ALPHA), np.uint8)
    answer = postprocess(source, np.ones(40, bool), picture, (1, 1), EditInfo("", 0, "bf16"))
    assert (np.asarray(Image.open(io.BytesIO(answer.image))) == picture).all()
    assert answer.info.region.box == (0.0, 0.0, 1.0, 1.0)


@pytest.mark.parametrize(
    "options, message",
    (
        ({"size": "64x100"}, "multiples of 32"),
        ({"size": "64x288"}, "4 times"),
        ({"size": "512x512"}, "at most 68813 pixels"),
        ({"size": "64x64", "region": upper_half()}, "cannot be combined with a mask"),
    ),
)
def test_sizes_that_are_refused(options, message):
    with pytest.raises(RequestError, match=message) as refused:
        prepared(file_of(scene()), **options)
    assert refused.value.field == "SIZE"
    with pytest.raises(RequestError, match="one of the family qwen-image-21"):
        prepared(file_of(scene()), OPAQUE_FAMILY, size="64x64")


@pytest.mark.parametrize("size", ("large", "0x64", "64", "64x", "64x640000"))
def test_words_that_are_no_size(size):
    with pytest.raises(RequestError, match="auto or WIDTHxHEIGHT"):
        EditRequest(file_of(scene()), "x", size=size).validate()
