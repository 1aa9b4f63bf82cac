"""InstructX checkpoints whose parts do not fit one another are told in a sentence, before any
weight is read."""

from __future__ import annotations

import json

import pytest

from retouch.diffusion.box_features import CHANNELS
from retouch.families.qwen_vl.patches import PatchLayout
from retouch_export.checkpoint import Checkpoint
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.instructx.denoiser import beside, patch, sizes
from retouch_export.instructx.vl_parser import check_examples, queries

VISION = {
    "depth": 2,
    "fullatt_block_indexes": [1],
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "hidden_size": 64,
    "num_heads": 2,
    "window_size": 112,
}
PARTS = {
    "vae": {"block_out_channels": [8] * 4, "latent_channels": 16},
    "transformer": {"in_channels": 64 + 64 + 2 * 2 * CHANNELS, "out_channels": 64},
    "parser_heads": {"queries": 8, "slots": 2, "width": 64},
    "meta_queries": {"count": 8, "width": 64},
    "text_encoder": {"text_config": {"hidden_size": 64}, "vision_config": VISION},
}


def checkpoint(folder, index=None, **changes):
    for name, config in PARTS.items():
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps(config | changes.get(name, {})))
    (folder / "model_index.json").write_text(
        json.dumps({"_class_name": "RetouchPipeline"} | (index or {}))
    )
    return Checkpoint(folder)


def test_parts_that_fit(tmp_path):
    made = checkpoint(tmp_path, {"sizes": [[1024, 1024], [832, 1248]]})
    assert (patch(made), beside(made), queries(made)) == (2, 64 + 2 * 2 * CHANNELS, 8)
    assert sizes(made) == [(1024, 1024), (832, 1248)]


def test_a_transformer_may_see_nothing_beside_its_noise(tmp_path):
    assert beside(checkpoint(tmp_path, transformer={"in_channels": 64, "out_channels": None})) == 0


@pytest.mark.parametrize(
    "ask, changes, message",
    [
        (
            patch,
            {"vae": {"block_out_channels": [8] * 6}},
            "a latent of 32 pixels in each direction; a token has 16",
        ),
        (patch, {"vae": {"latent_channels": 4}}, "has 64 output channels a token; .* are 16"),
        (
            beside,
            {"transformer": {"in_channels": 128}},
            "takes 64 channels beside a token's 64; it must be 0, ",
        ),
        (sizes, {"index": {"sizes": [[1000, 1024]]}}, "sides must be multiples of 16"),
        (sizes, {"index": {"sizes": []}}, "sides must be multiples of 16"),
        (
            queries,
            {"meta_queries": {"count": 256}},
            "there are 256 meta-queries of 64 numbers; the parser's heads read 8",
        ),
        (
            queries,
            {"text_encoder": {"text_config": {"hidden_size": 32}}},
            "the language model's hidden states have 32",
        ),
        (
            queries,
            {"parser_heads": {"slots": 3}},
            "8 meta-queries cannot be shared by 3 operations",
        ),
    ],
)
def test_parts_that_do_not(tmp_path, ask, changes, message):
    with pytest.raises(CheckpointError, match=message):
        ask(checkpoint(tmp_path, **changes))


def test_examples_of_other_heads(tmp_path):
    (tmp_path / "examples.json").write_text(json.dumps([{"sentence": "fly", "op": "fly"}]))
    made = checkpoint(tmp_path)
    check_examples(made, {"op": ["none", "fly"]})
    with pytest.raises(CheckpointError, match="with ops of the parser's heads"):
        check_examples(made, {"op": ["none", "walk"]})


@pytest.mark.parametrize(
    "file, message",
    [
        ("processor/preprocessor_config.json", {"min_pixels": 3136, "max_pixels": 12845056}),
        (
            "image_processor/preprocessor_config.json",
            {"size": {"shortest_edge": 3136, "longest_edge": 12845056}},
        ),
        (
            "processor/processor_config.json",
            {"image_processor": {"min_pixels": 3136, "max_pixels": 12845056}},
        ),
    ],
)
def test_limits_of_the_image_processor(tmp_path, file, message):
    (tmp_path / file).parent.mkdir()
    (tmp_path / file).write_text(json.dumps(message))
    layout = PatchLayout.of_checkpoint(VISION, tmp_path)
    assert (layout.smallest, layout.largest, layout.cell, layout.window) == (
        3136,
        12845056,
        28,
        112,
    )


def test_without_one_they_are_qwens(tmp_path):
    assert PatchLayout.of_checkpoint(VISION, tmp_path) == PatchLayout.of(VISION)


def test_other_colours_are_refused(tmp_path):
    (tmp_path / "processor").mkdir()
    (tmp_path / "processor/preprocessor_config.json").write_text(
        json.dumps({"image_mean": [0.5, 0.5, 0.5]})
    )
    with pytest.raises(ValueError, match="another image_mean or image_std"):
        PatchLayout.of_checkpoint(VISION, tmp_path)
