"""Patches and rotary tables against transformers'."""

import numpy as np
import pytest
import torch
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (
    Qwen2_5_VisionTransformerPretrainedModel,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
    Qwen2VLImageProcessorPil,
    smart_resize,
)

from retouch.api.geometry import BUCKETS
from retouch.families.qwen_vl.patches import PatchLayout
from retouch.networks.qwen_vl import encode_image


@pytest.mark.parametrize("size", BUCKETS)
def test_patches(size):
    pixels = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    processor = Qwen2VLImageProcessorPil(
        patch_size=8, temporal_patch_size=2, merge_size=2, do_resize=False
    )
    expected = processor(list(pixels), return_tensors="np")["pixel_values"]
    ours = PatchLayout().patches(pixels)
    assert ours.shape == (2, size[0] * size[1] // 64, 384)
    np.testing.assert_allclose(ours.reshape(expected.shape), expected, rtol=0, atol=1e-6)


def tower(config):
    """Of random weights, and the layout of its images."""
    torch.manual_seed(0)
    visual = Qwen2_5_VisionTransformerPretrainedModel(Qwen2_5_VLVisionConfig(**config)).eval()
    return visual, PatchLayout.of(visual.config.to_dict())


# the shipped parser's kind, one with windows and a full block among them, and one with whole
# windows of 4 by 4 cells
WHOLE = dict(
    depth=2,
    hidden_size=64,
    intermediate_size=96,
    num_heads=2,
    patch_size=8,
    out_hidden_size=48,
    fullatt_block_indexes=[0, 1],
)
MIXED = WHOLE | dict(depth=3, window_size=48, fullatt_block_indexes=[1])
LARGE = WHOLE | dict(patch_size=14, window_size=112, fullatt_block_indexes=[1])


@pytest.mark.parametrize("config", [WHOLE, MIXED, LARGE], ids=["whole", "mixed", "large"])
@pytest.mark.parametrize("cells", [(8, 8), (6, 10), (7, 5), (3, 1), (4, 13)])
def test_whole_tower(config, cells):
    """`see` on our inputs against the tower's own forward, which makes windows and tables
    itself."""
    visual, layout = tower(config)
    size = cells[0] * layout.cell, cells[1] * layout.cell
    pixels = np.random.default_rng(0).integers(0, 256, (3, *size, 3), np.uint8)
    grid = torch.tensor([[1, 2 * cells[0], 2 * cells[1]]] * 3)
    with torch.no_grad():
        ours = encode_image(visual, *map(torch.from_numpy, layout.inputs(pixels).values()))
        theirs = visual(
            torch.from_numpy(layout.patches(pixels)).flatten(0, 1), grid_thw=grid
        ).pooler_output
    torch.testing.assert_close(ours.flatten(0, 1), theirs, rtol=1e-4, atol=1e-5)


def test_windows_are_as_small_as_they_can_be():
    """Of 7 by 5 cells in windows of 3 by 3: six, and no more padding than their edges need."""
    _, layout = tower(MIXED)
    windows = layout.windows(7 * layout.cell, 5 * layout.cell)
    assert windows.shape == (6, 9) and sorted(windows[windows >= 0]) == list(range(35))


def test_a_windowed_tower_without_windows_is_refused():
    visual, layout = tower(MIXED)
    inputs = layout.inputs(np.zeros((1, 48, 48, 3), np.uint8))
    with pytest.raises(ValueError, match="windowed attention"):
        encode_image(
            visual,
            torch.from_numpy(inputs["pixel_values"]),
            *map(torch.from_numpy, layout.rope(48, 48)),
        )


@pytest.mark.parametrize(
    "height, width",
    [(28, 28), (391, 389), (57, 1000), (2000, 3000), (30, 31), (1024, 1024), (20, 90)],
)
def test_sizes_at_which_images_are_seen(height, width):
    layout = PatchLayout(patch=14, smallest=56 * 56, largest=28 * 28 * 1280)
    expected = smart_resize(height, width, 28, layout.smallest, layout.largest)
    assert layout.size(height, width) == expected
