"""A QwenImage21Pipeline of random weights, every class the real one's, saved by the pipeline's own
save_pretrained, and small images in place of large ones."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLQwenImage21,
    FlowMatchEulerDiscreteScheduler,
    QwenImage21Pipeline,
    QwenImage21Transformer2DModel,
)
from transformers import (
    Qwen2Tokenizer,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from qwen_image_edit_tiny import SPECIAL, make_tokenizer
from retouch_export.qwen_image_21 import denoiser, vl_parser
from tiny import round_weights, shake

SIDE = 80  # of a square image, in place of 1024
AREA = SIDE * SIDE
WIDTH = 48  # of the text model's hidden states
LATENTS = 8
# of Qwen3-VL's own template what a single system message meets
TEMPLATE = """{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' + message.content[0].text + '<|im_end|>\\n' }}
{%- endfor %}"""


def small_images(patch) -> None:
    """Make the export edit images of AREA; `patch` is pytest's MonkeyPatch."""
    patch.setattr(denoiser, "AREA", AREA)
    patch.setattr(vl_parser, "AREA", AREA)


class Processor(Qwen3VLProcessor):
    """transformers' own, without the part for videos, which needs torchvision."""

    def __init__(self, image_processor=None, tokenizer=None, chat_template=None, **kwargs):
        super().__init__(image_processor, tokenizer, None, chat_template, **kwargs)

    @classmethod
    def get_attributes(cls):
        return ["image_processor", "tokenizer"]

    def check_argument_for_proper_class(self, name, argument):
        return None


def make_checkpoint(path: Path, sample_sigmas: list[float] | None = None) -> Path:
    """Write one to `path`, every weight a bfloat16 number."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    networks = make_vae(), make_text_model(tokenizer), make_transformer()
    for network in networks:
        shake(network.eval())
        round_weights(network)
    vae, text_encoder, transformer = networks
    processor = Processor(
        Qwen2VLImageProcessorPil(
            patch_size=16,
            image_mean=[0.5] * 3,
            image_std=[0.5] * 3,
            min_pixels=32 * 32,
            max_pixels=512 * 512,
        ),
        tokenizer,
        TEMPLATE,
    )
    scheduler = FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, base_shift=0.5, max_shift=0.9, max_image_seq_len=8192
    )
    QwenImage21Pipeline(
        scheduler, vae, text_encoder, processor, transformer, sample_sigmas
    ).save_pretrained(path)
    return path


def load_pipeline(path: Path) -> QwenImage21Pipeline:
    """diffusers' pipeline of a checkpoint, in float32."""
    processor = Processor(
        Qwen2VLImageProcessorPil.from_pretrained(path / "processor"),
        Qwen2Tokenizer.from_pretrained(path / "processor"),
        TEMPLATE,
    )
    scheduler, vae, text_encoder, transformer = (
        kind.from_pretrained(path / name)
        for kind, name in (
            (FlowMatchEulerDiscreteScheduler, "scheduler"),
            (AutoencoderKLQwenImage21, "vae"),
            (Qwen3VLForConditionalGeneration, "text_encoder"),
            (QwenImage21Transformer2DModel, "transformer"),
        )
    )
    pipeline = QwenImage21Pipeline(
        scheduler, vae.eval(), text_encoder.eval(), processor, transformer.eval()
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def make_text_model(tokenizer: Qwen2Tokenizer) -> Qwen3VLForConditionalGeneration:
    start, end, image, video = (tokenizer.convert_tokens_to_ids(token) for token in SPECIAL[3:])
    text = dict(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=2048,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6, "mrope_section": [4, 2, 2]},
    )
    vision = dict(
        depth=2,
        hidden_size=32,
        intermediate_size=48,
        num_heads=2,
        out_hidden_size=WIDTH,
        num_position_embeddings=25,
        deepstack_visual_indexes=[0],
    )
    config = Qwen3VLConfig(
        text_config=text,
        vision_config=vision,
        vision_start_token_id=start,
        vision_end_token_id=end,
        image_token_id=image,
        video_token_id=video,
    )
    return Qwen3VLForConditionalGeneration(config)


def make_vae() -> AutoencoderKLQwenImage21:
    return AutoencoderKLQwenImage21(
        base_dim=4,
        decoder_base_dim=4,
        z_dim=LATENTS,
        dim_mult=[1, 2, 2, 2, 2],
        num_res_blocks=1,
        latents_mean=torch.linspace(-0.7, 0.9, LATENTS).tolist(),
        latents_std=torch.linspace(0.6, 2.8, LATENTS).tolist(),
    )


def make_transformer() -> QwenImage21Transformer2DModel:
    return QwenImage21Transformer2DModel(
        in_channels=LATENTS,
        out_channels=LATENTS,
        num_layers=2,
        attention_head_dim=32,
        num_attention_heads=2,
        context_in_dim=WIDTH,
        axes_dims_rope=(8, 12, 12),
    )
