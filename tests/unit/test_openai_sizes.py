"""Answers at the size that an OpenAI client asks for keep their colours and their transparency."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from retouch.api.answer_format import Format, parse_format
from retouch.imaging import images, rgb_profile
from retouch.imaging.colour import ADOBE
from retouch_clients.openai_api.pictures import finished

PROFILE = rgb_profile.of(ADOBE, 2.2)


def cut_out() -> bytes:
    """Red on the left, wholly transparent black on the right, 64 x 64."""
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, :32] = 200, 0, 0, 255
    return images.encode(pixels, icc=PROFILE)


def reopened(file: bytes) -> Image.Image:
    return Image.open(io.BytesIO(file))


def test_a_jpeg_of_a_cut_out_is_white_where_it_was_transparent():
    answer = reopened(finished(cut_out(), (32, 32), parse_format("jpeg")))
    assert answer.mode == "RGB" and min(answer.getpixel((28, 16))) > 250
    assert answer.getpixel((4, 16))[0] > 190 and answer.getpixel((4, 16))[1] < 10


@pytest.mark.parametrize("name", ["png", "webp"])
def test_transparency_is_kept_where_the_format_has_it(name):
    answer = reopened(finished(cut_out(), (128, 128), parse_format(name)))
    assert answer.mode == "RGBA" and answer.size == (128, 128)
    assert answer.getpixel((120, 60))[3] == 0 and answer.getpixel((8, 60)) == (200, 0, 0, 255)


@pytest.mark.parametrize("name", ["png", "jpeg", "webp"])
def test_the_profile_stays(name):
    assert (
        reopened(finished(cut_out(), (48, 32), parse_format(name))).info["icc_profile"] == PROFILE
    )


def test_a_result_of_the_right_size_and_format_is_not_touched():
    file = cut_out()
    assert finished(file, (64, 64), Format("png")) is file


def test_the_least_quality_is_no_default():
    sizes = [len(finished(cut_out(), (32, 32), Format("jpeg", quality))) for quality in (0, 98)]
    assert sizes[0] < sizes[1]
