"""InstructX in other sizes than the shipped checkpoint's: what is exported is the pipeline still."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, Flux2Transformer2DModel
from exports import exported
from PIL import Image
from safetensors.torch import save_file
from tiny import round_weights, shake
from torch import nn
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from retouch.layout import CHANNELS
from retouch.manifest import verify
from retouch.networks import Connector, MetaQueries, ParserHeads
from retouch.pipeline import RetouchPipeline
from retouch.plain_loop import PlainLoop
from retouch.runners.onnx import OnnxRunner
from retouch.types import BUCKETS
from training import tokenizer
from training.checkpoint import calibration_pairs
from training.labels import FIELDS

QUERIES, SLOTS, SHARE = 256, 4, 8
LANGUAGE, VISION, SAID = 64, 48, 80  # widths: of the language model, the vision tower and the conditioning
LATENTS, FACTOR = 4, 8
TOKEN = LATENTS * (16 // FACTOR) ** 2
SENTENCE = "make the red circle blue"


def language_model(vocabulary: int) -> Qwen2_5_VLForConditionalGeneration:
    """Five layers, four keys of its own for eight heads, a tower of three."""
    text = {"vocab_size": vocabulary, "hidden_size": LANGUAGE, "intermediate_size": 96, "num_hidden_layers": 5,
            "num_attention_heads": 8, "num_key_value_heads": 4, "max_position_embeddings": 4096,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0, "mrope_section": [1, 1, 2]},
            "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    vision = {"depth": 3, "hidden_size": VISION, "intermediate_size": 64, "num_heads": 2, "patch_size": 4,
              "spatial_merge_size": 4, "temporal_patch_size": 2, "window_size": 112, "out_hidden_size": LANGUAGE,
              "fullatt_block_indexes": [0, 1, 2]}
    return Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(
        text_config=text, vision_config=vision, vision_start_token_id=3, vision_end_token_id=4, image_token_id=5,
        video_token_id=6))


def transformer() -> Flux2Transformer2DModel:
    return Flux2Transformer2DModel(
        in_channels=2 * TOKEN + SLOTS * 2 * CHANNELS, out_channels=TOKEN, num_layers=3, num_single_layers=5,
        attention_head_dim=16, num_attention_heads=5, joint_attention_dim=SAID, axes_dims_rope=(4, 4, 4, 4),
        mlp_ratio=2.0, guidance_embeds=False)


def autoencoder() -> AutoencoderKL:
    """Eight times smaller each way, with attention and its own quantising convolutions."""
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 16, 16), down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, layers_per_block=1, latent_channels=LATENTS, norm_num_groups=4)
    vae.register_to_config(shift_factor=0.1, scaling_factor=0.7)
    return vae


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint that predicts velocities, every weight a bfloat16 number."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("sizes")
    words = tokenizer.run(path / "words", sentences=200)
    pipeline = RetouchPipeline(
        vae=autoencoder(), text_encoder=language_model(words.get_vocab_size()), transformer=transformer(),
        tokenizer=PreTrainedTokenizerFast(tokenizer_object=words), meta_queries=MetaQueries(QUERIES, LANGUAGE),
        parser_heads=ParserHeads({name: list(values) for name, values in FIELDS.items()}, SLOTS, QUERIES, LANGUAGE),
        connector=Connector(LANGUAGE, 100, SAID, SHARE), scheduler=FlowMatchEulerDiscreteScheduler(shift=5.0),
        prediction="velocity", default_steps=3)
    for part in pipeline.components.values():
        if isinstance(part, nn.Module):
            shake(part)
            round_weights(part)
    pipeline.save_pretrained(path)
    save_file({"weight": torch.randn(TOKEN, 48), "bias": torch.zeros(48)}, path / "preview.safetensors")
    calibration_pairs(path / "calibration", count=2)
    return path


@pytest.fixture(scope="module")
def repository(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("sizes repository")
    exported(folder, "--repository", path, "--precision", "bf16,fp8,fp4")
    return path


@pytest.fixture(scope="module")
def stages(repository):
    return PlainLoop(repository, runner=partial(OnnxRunner, rounded=False))


def picture(size):
    return np.random.default_rng(3).integers(0, 256, (*size, 3), np.uint8)


def relative(ours, theirs):
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


@pytest.mark.parametrize("share", (0.2, 1.0))
@pytest.mark.parametrize("size", BUCKETS)
def test_a_whole_edit(folder, stages, size, share):
    """Each stage, then the latents and the picture."""
    pipeline, pixels = RetouchPipeline.from_pretrained(folder), picture(size)
    region = np.random.default_rng(0).random(size[0] * size[1] // 256) <= share
    parsed, = stages.parser.run(pixels[None], [SENTENCE])
    reading = pipeline.parse(pixels, SENTENCE)
    assert parsed.queries.shape == (QUERIES, LANGUAGE) and reading.conditioning.shape == (1, QUERIES, SAID)
    assert relative(stages.connector.run(parsed.queries[None]), reading.conditioning.numpy()) <= 1e-4
    np.testing.assert_allclose(parsed.boxes[None], reading.boxes, atol=1e-4)
    assert relative(stages.encoder.run(pixels[None]), pipeline.encode(pixels)) <= 1e-4
    expected = pipeline(Image.fromarray(pixels), SENTENCE, seed=5, steps=4, region=region, output_type="latent").image
    *_, last = stages.denoise(pixels, parsed, region, 5, 4)
    assert relative(last.latents, expected[0]) <= 1e-3
    assert np.abs(stages.decoder.run(last.latents[None])[0].astype(int) - pipeline.decode(expected)).max() <= 1


def test_every_lane_serves(repository, stages):
    pixels, region = picture(BUCKETS[0]), np.ones(64, bool)
    parsed, = stages.parser.run(pixels[None], [SENTENCE])
    *_, theirs = stages.denoise(pixels, parsed, region, 5, 4)

    def error(lane):
        *_, ours = PlainLoop(repository, lane).denoise(pixels, parsed, region, 5, 4)
        return np.linalg.norm(ours.latents - theirs.latents) / np.linalg.norm(theirs.latents)

    errors = {lane: error(lane) for lane in ("bf16", "fp8", "fp4")}
    assert errors["bf16"] < errors["fp8"] < errors["fp4"] < 0.3
    assert verify(repository / "denoiser_fp4" / "1").settings["slots"] == SLOTS
