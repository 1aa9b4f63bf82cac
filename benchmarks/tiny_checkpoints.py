"""The checkpoints of `benchmarks.parts` in sizes that any processor runs, to try the script."""

from __future__ import annotations

from functools import partial

from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    Flux2Transformer2DModel,
    FluxTransformer2DModel,
    QwenImageTransformer2DModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5EncoderModel,
)

from benchmarks import flux, klein
from benchmarks.checkpoints import LENGTHS, PARSER, Large

BLOCKS = {
    "block_out_channels": (8, 8, 8, 8),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "latent_channels": 4,
}
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 200,
}
TINY = {
    "kontext": Large(
        "FluxKontextPipeline",
        {
            "transformer": partial(FluxTransformer2DModel, **flux.TINY[0]),
            "text_encoder": lambda: CLIPTextModel(
                CLIPTextConfig(
                    vocab_size=200,
                    hidden_size=32,
                    intermediate_size=48,
                    num_hidden_layers=2,
                    num_attention_heads=2,
                )
            ),
            "text_encoder_2": lambda: T5EncoderModel(
                T5Config(
                    vocab_size=200,
                    d_model=32,
                    d_kv=8,
                    d_ff=48,
                    num_layers=2,
                    num_heads=4,
                    feed_forward_proj="gated-gelu",
                )
            ),
        },
        partial(
            AutoencoderKL,
            **BLOCKS,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            shift_factor=0.1,
        ),
        files=LENGTHS,
    ),
    "flux2-klein": Large(
        "Flux2KleinKVPipeline",
        {
            "transformer": partial(Flux2Transformer2DModel, **klein.TINY),
            "text_encoder": lambda: Qwen3ForCausalLM(
                Qwen3Config(**TEXT | {"num_hidden_layers": 28}, head_dim=8)
            ),
        },
        partial(AutoencoderKLFlux2, **BLOCKS, sample_size=64),
    ),
    "qwen-image-edit": Large(
        "QwenImageEditPlusPipeline",
        {
            "transformer": partial(
                QwenImageTransformer2DModel,
                in_channels=16,
                out_channels=4,
                num_layers=2,
                attention_head_dim=32,
                num_attention_heads=2,
                joint_attention_dim=32,
                axes_dims_rope=(8, 12, 12),
            ),
            "text_encoder": lambda: Qwen2_5_VLForConditionalGeneration(
                Qwen2_5_VLConfig(
                    **PARSER
                    | {
                        "image_token_id": 151,
                        "video_token_id": 152,
                        "vision_start_token_id": 153,
                        "vision_end_token_id": 154,
                        "text_config": PARSER["text_config"]
                        | TEXT
                        | {
                            "rope_parameters": {
                                "rope_type": "default",
                                "rope_theta": 1e6,
                                "mrope_section": [1, 1, 2],
                            }
                        },
                        "vision_config": PARSER["vision_config"]
                        | {
                            "depth": 2,
                            "hidden_size": 32,
                            "intermediate_size": 48,
                            "num_heads": 2,
                            "out_hidden_size": 32,
                            "fullatt_block_indexes": [1],
                        },
                    }
                )
            ),
        },
        partial(
            AutoencoderKLQwenImage,
            base_dim=8,
            z_dim=4,
            dim_mult=[1, 2, 2, 2],
            num_res_blocks=1,
            latents_mean=[0.0] * 4,
            latents_std=[1.0] * 4,
        ),
    ),
}
