"""InstructX checkpoints of random weights, in other sizes than the shipped one's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, Flux2Transformer2DModel
from peft import LoraConfig
from torch import nn
from transformers import (
    PreTrainedTokenizerBase,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from instructx_heads import FULL_FIELDS, never_nothing, teach, write_examples
from retouch.api.geometry import BUCKETS
from retouch.diffusion.box_features import CHANNELS
from retouch.families.instructx.pipeline import RetouchPipeline
from retouch.networks.instructx import Connector, MetaQueries, ParserHeads
from shape_fields import SHAPE_FIELDS
from tiny import ADAPTED, round_weights, shake

LANGUAGE = 64
VISION = 48
SAID = 80  # widths: of the language model, the vision tower and the conditioning
LATENTS = 4
FACTOR = 8
TOKEN = LATENTS * (16 // FACTOR) ** 2
# a token of the tower is a cell of the transformer
CELLS = {
    "depth": 2,
    "patch_size": 4,
    "spatial_merge_size": 4,
    "window_size": 112,
    "fullatt_block_indexes": [0, 1],
}
# as in the real Qwen2.5-VL it has 28 pixels; windows of 2 x 2 of them, and the last block sees the
# whole image
QWEN = {
    "depth": 2,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "window_size": 56,
    "fullatt_block_indexes": [1],
}


@dataclass(frozen=True)
class Made:
    """`vision` is the tower's config. `beside`: the transformer sees the source and the layout
    beside its noise. `pixels` are the image processor's limits. `adapted`: the language model has
    an adapter. `presence`: the heads know all fields, and whether a target is in the picture. They
    read a `photo` as `instructx_heads` says, if there is one.

    The defaults are one architecture: its graphs are traced once for all tests that take them."""

    vision: dict[str, Any]
    queries: int = 16
    slots: int = 4
    share: int = 8
    beside: bool = True
    sizes: tuple[tuple[int, int], ...] = BUCKETS
    pixels: tuple[int, int] | None = None
    adapted: bool = False
    presence: bool = False
    photo: np.ndarray | None = None


def make_checkpoint(path: Path, tokenizer: PreTrainedTokenizerBase, made: Made) -> Path:
    """Write one that predicts velocities to `path`, every weight a bfloat16 number; it brings no
    map for previews."""
    torch.manual_seed(0)
    language = language_model(tokenizer, made.vision)
    if made.adapted:
        language.add_adapter(LoraConfig(r=4, target_modules=ADAPTED, init_lora_weights=False))
    pipeline = RetouchPipeline(
        vae=autoencoder(),
        text_encoder=language,
        transformer=transformer(made),
        tokenizer=tokenizer,
        meta_queries=MetaQueries(made.queries, LANGUAGE),
        connector=Connector(LANGUAGE, 100, SAID, made.share),
        parser_heads=ParserHeads(
            FULL_FIELDS if made.presence else SHAPE_FIELDS,
            made.slots,
            made.queries,
            LANGUAGE,
            made.presence,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=5.0),
        prediction="velocity",
        default_steps=3,
        sizes=made.sizes,
    )
    for part in pipeline.components.values():
        if isinstance(part, nn.Module):
            shake(part)
            round_weights(part)
    if made.presence:
        never_nothing(pipeline.parser_heads)
    if made.photo is not None:
        teach(pipeline, made.photo)
        round_weights(pipeline.parser_heads)
        write_examples(path)
    pipeline.save_pretrained(path)
    if made.pixels:
        processor(made).save_pretrained(path / "image_processor")
    return path


def processor(made: Made) -> Qwen2VLImageProcessorPil:
    return Qwen2VLImageProcessorPil(
        patch_size=made.vision["patch_size"],
        merge_size=made.vision["spatial_merge_size"],
        min_pixels=made.pixels[0],
        max_pixels=made.pixels[1],
    )


def language_model(
    tokenizer: PreTrainedTokenizerBase, vision: dict[str, Any]
) -> Qwen2_5_VLForConditionalGeneration:
    """Two layers, four keys of its own for eight heads."""
    start, end, image, video = (
        tokenizer.convert_tokens_to_ids(f"<|{name}|>")
        for name in ("vision_start", "vision_end", "image_pad", "video_pad")
    )
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": LANGUAGE,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "max_position_embeddings": 4096,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1000.0,
            "mrope_section": [1, 1, 2],
        },
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    tower = {
        "hidden_size": VISION,
        "intermediate_size": 64,
        "num_heads": 2,
        "temporal_patch_size": 2,
        "out_hidden_size": LANGUAGE,
    }
    return Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(
            text_config=text,
            vision_config=tower | vision,
            vision_start_token_id=start,
            vision_end_token_id=end,
            image_token_id=image,
            video_token_id=video,
        )
    ).eval()


def transformer(made: Made) -> Flux2Transformer2DModel:
    """Two blocks of each kind; one where it is plain, because their order is tested beside."""
    blocks = 2 if made.beside else 1
    beside = TOKEN + made.slots * 2 * CHANNELS if made.beside else 0
    return Flux2Transformer2DModel(
        in_channels=TOKEN + beside,
        out_channels=TOKEN,
        num_layers=blocks,
        num_single_layers=blocks,
        attention_head_dim=16,
        num_attention_heads=5,
        joint_attention_dim=SAID,
        axes_dims_rope=(4, 4, 4, 4),
        mlp_ratio=2.0,
        guidance_embeds=False,
    )


def autoencoder() -> AutoencoderKL:
    """Eight times smaller each way, with attention and its own quantising convolutions."""
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=LATENTS,
        norm_num_groups=4,
    )
    vae.register_to_config(shift_factor=0.1, scaling_factor=0.7)
    return vae
