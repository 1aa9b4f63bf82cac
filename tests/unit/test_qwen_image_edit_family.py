"""Qwen-Image-Edit's sizes, and its guidance."""

import numpy as np
import pytest
from diffusers.pipelines.qwenimage.pipeline_qwenimage_edit_plus import calculate_dimensions

from retouch.families.registry import family_of

SETTINGS = {
    "patch": 2,
    "area": 1024 * 1024,
    "axes": [16, 56, 56],
    "scheduler": {},
    "photos": 3,
    "negative": " ",
    "default_true_cfg": 4.0,
}


@pytest.fixture()
def family():
    return family_of("qwen-image-edit", SETTINGS)


@pytest.mark.parametrize(
    "size", [(1024, 1024), (500, 333), (77, 4000), (3000, 1999), (16, 16), (1080, 1920)]
)
def test_an_image_is_edited_at_the_size_of_the_pipeline(family, size):
    height, width = size
    assert family.size(height, width) == calculate_dimensions(1024 * 1024, width / height)[::-1]


def test_guidance_keeps_the_positive_velocitys_length(family):
    positive, negative = np.random.default_rng(0).standard_normal((2, 7, 64), np.float32)
    led = family.apply_cfg(positive, negative, 4.0)
    np.testing.assert_allclose(
        np.linalg.norm(led, axis=1), np.linalg.norm(positive, axis=1), rtol=1e-5
    )
    np.testing.assert_allclose(family.apply_cfg(positive, negative, 1.0), positive, atol=1e-5)
    assert led.dtype == np.float32 and not np.allclose(led, positive, atol=0.1)


def test_what_it_takes(family):
    assert (family.max_references, family.negative, family.true_cfg) == (2, " ", 4.0)
    with pytest.raises(ValueError, match="in every step"):
        family.reference_inputs([np.zeros((16, 8, 8), np.float32)], {})
