"""Patches and rotary tables against transformers'."""

import numpy as np
import pytest
import torch
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from retouch.patches import PatchLayout
from retouch.types import BUCKETS
from training.parser import make_language_model


@pytest.mark.parametrize("size", BUCKETS)
def test_patches(size):
    pixels = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    processor = Qwen2VLImageProcessorPil(patch_size=8, temporal_patch_size=2, merge_size=2, do_resize=False)
    expected = processor(list(pixels), return_tensors="np")["pixel_values"]
    ours = PatchLayout().patches(pixels)
    assert ours.shape == (2, size[0] * size[1] // 64, 384)
    np.testing.assert_allclose(ours.reshape(expected.shape), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", BUCKETS)
def test_whole_tower(size):
    """`see` on our patches and tables against the tower's own forward, which makes its tables itself."""
    from retouch.reading import see

    visual = make_language_model(640).model.visual.eval()
    layout = PatchLayout()
    patches = layout.patches(np.random.default_rng(0).integers(0, 256, (3, *size, 3), np.uint8))
    rope = map(torch.from_numpy, layout.rope(*size))
    grid = torch.tensor([[1, size[0] // 8, size[1] // 8]] * 3)
    with torch.no_grad():
        ours = see(visual, torch.from_numpy(patches), *rope)
        theirs = visual(torch.from_numpy(patches).flatten(0, 1), grid_thw=grid).pooler_output
    torch.testing.assert_close(ours.flatten(0, 1), theirs, rtol=1e-4, atol=1e-5)
