"""Checkpoints of real sizes, from their configs alone or with random weights."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    AutoencoderKLQwenImage21,
    FlowMatchEulerDiscreteScheduler,
    Flux2Transformer2DModel,
    FluxTransformer2DModel,
    QwenImage21Transformer2DModel,
    QwenImageTransformer2DModel,
)
from safetensors.torch import save_file
from torch import nn
from torch._subclasses import FakeTensorMode
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    T5Config,
    T5EncoderModel,
)

from retouch.diffusion.box_features import CHANNELS as LAYOUT
from retouch.networks.instructx import MetaQueries, ParserHeads
from training.labels import HEAD_FIELDS

SHARD = 1 << 30  # bytes


@dataclass(frozen=True)
class Large:
    """A checkpoint to be made: its pipeline, what makes its networks, by folder, with `weights` or
    without, its `vae`, `more` that its model_index.json says, json files that an export reads, and
    the `only` part that is exported, or None."""

    pipeline: str
    networks: dict[str, Callable[[], nn.Module]]
    vae: Callable[[], nn.Module] = AutoencoderKLFlux2
    weights: bool = False
    more: dict[str, Any] = field(default_factory=dict)
    files: dict[str, Any] = field(default_factory=dict)
    only: str | None = "denoiser"


kontext_vae = partial(
    AutoencoderKL,
    block_out_channels=(128, 256, 512, 512),
    down_block_types=("DownEncoderBlock2D",) * 4,
    up_block_types=("UpDecoderBlock2D",) * 4,
    layers_per_block=2,
    latent_channels=16,
    use_quant_conv=False,
    use_post_quant_conv=False,
    shift_factor=0.1159,
    scaling_factor=0.3611,
)
flux = partial(FluxTransformer2DModel, guidance_embeds=True)
# FLUX.2 klein 9B: 8 + 24 blocks of 32 heads, told by three hidden states of a Qwen3 8B; the rest is
# as in FLUX.2
KLEIN = {
    "num_layers": 8,
    "num_single_layers": 24,
    "num_attention_heads": 32,
    "joint_attention_dim": 3 * 4096,
    "guidance_embeds": False,
}
KLEIN_4B = KLEIN | {
    "num_layers": 5,
    "num_single_layers": 20,
    "num_attention_heads": 24,
    "joint_attention_dim": 3 * 2560,
}
# InstructX: Qwen2.5-VL 3B as its config.json has it, and a transformer of klein's size on FLUX.1's
# latents, which sees the source's token and the layout beside its noise
QUERIES = 256
SLOTS = 4
TOKEN = 64
SAID = 4096
WIDTH = 2048
PARSER = {
    "image_token_id": 151655,
    "video_token_id": 151656,
    "vision_start_token_id": 151652,
    "vision_end_token_id": 151653,
    "tie_word_embeddings": True,
    "text_config": {
        "hidden_size": WIDTH,
        "intermediate_size": 11008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "vocab_size": 151936,
        "max_position_embeddings": 128000,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1e6,
            "mrope_section": [16, 24, 24],
        },
    },
    "vision_config": {
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "out_hidden_size": WIDTH,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "window_size": 112,
        "fullatt_block_indexes": [7, 15, 23, 31],
    },
}
PARSING: dict[str, Callable[[], nn.Module]] = {
    "text_encoder": lambda: Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**PARSER)),
    "meta_queries": partial(MetaQueries, QUERIES, WIDTH),
    "parser_heads": partial(ParserHeads, HEAD_FIELDS, SLOTS, QUERIES, WIDTH),
}
drawing = partial(
    Flux2Transformer2DModel,
    **KLEIN
    | {
        "in_channels": 2 * TOKEN + SLOTS * 2 * LAYOUT,
        "out_channels": TOKEN,
        "joint_attention_dim": SAID,
    },
)
INSTRUCTX = {
    "prediction": "velocity",
    "default_steps": 8,
    "region_threshold": 0.5,
    "sizes": [[1024, 1024]],
}
# FLUX.1's text encoders: CLIP-L and T5-XXL
TEXTS: dict[str, Callable[[], nn.Module]] = {
    "text_encoder": lambda: CLIPTextModel(
        CLIPTextConfig(
            hidden_size=768,
            intermediate_size=3072,
            projection_dim=768,
            num_hidden_layers=12,
            num_attention_heads=12,
        )
    ),
    "text_encoder_2": lambda: T5EncoderModel(
        T5Config(
            vocab_size=32128,
            d_model=4096,
            d_kv=64,
            d_ff=10240,
            num_layers=24,
            num_heads=64,
            feed_forward_proj="gated-gelu",
        )
    ),
}
LENGTHS = {
    "tokenizer/tokenizer_config.json": {"model_max_length": 77},
    "tokenizer_2/tokenizer_config.json": {"model_max_length": 512},
}
# FLUX.2 klein 9B's Qwen3 8B
QWEN3: dict[str, Callable[[], nn.Module]] = {
    "text_encoder": lambda: Qwen3ForCausalLM(
        Qwen3Config(
            hidden_size=4096,
            intermediate_size=12288,
            num_hidden_layers=36,
            num_attention_heads=32,
            num_key_value_heads=8,
            head_dim=128,
            vocab_size=151936,
        )
    )
}
# FLUX.2 klein 4B's
QWEN3_4B: dict[str, Callable[[], nn.Module]] = {
    "text_encoder": lambda: Qwen3ForCausalLM(
        Qwen3Config(
            hidden_size=2560,
            intermediate_size=9728,
            num_hidden_layers=36,
            num_attention_heads=32,
            num_key_value_heads=8,
            head_dim=128,
            vocab_size=151936,
            tie_word_embeddings=True,
        )
    )
}
# FLUX.2 dev's Mistral Small 3
MISTRAL: dict[str, Callable[[], nn.Module]] = {
    "text_encoder": lambda: Mistral3ForConditionalGeneration(
        Mistral3Config(
            text_config={
                "model_type": "mistral",
                "hidden_size": 5120,
                "intermediate_size": 32768,
                "num_hidden_layers": 40,
                "num_attention_heads": 32,
                "num_key_value_heads": 8,
                "head_dim": 128,
                "vocab_size": 131072,
                "sliding_window": None,
                "rope_parameters": {"rope_type": "default", "rope_theta": 1e9},
            },
            tie_word_embeddings=False,
        )
    )
}
# Qwen-Image-Edit's Qwen2.5-VL 7B
QWEN_VL: dict[str, Callable[[], nn.Module]] = {
    "text_encoder": lambda: Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(
            **PARSER
            | {
                "tie_word_embeddings": False,
                "text_config": PARSER["text_config"]
                | {
                    "hidden_size": 3584,
                    "intermediate_size": 18944,
                    "num_hidden_layers": 28,
                    "num_attention_heads": 28,
                    "num_key_value_heads": 4,
                    "vocab_size": 152064,
                },
                "vision_config": PARSER["vision_config"] | {"out_hidden_size": 3584},
            }
        )
    )
}
# Qwen-Image 2.1's Qwen3-VL 8B
QWEN3_VL: dict[str, Callable[[], nn.Module]] = {
    "text_encoder": lambda: Qwen3VLForConditionalGeneration(
        Qwen3VLConfig(
            text_config={
                "hidden_size": 4096,
                "intermediate_size": 12288,
                "num_hidden_layers": 36,
                "num_attention_heads": 32,
                "num_key_value_heads": 8,
                "head_dim": 128,
                "vocab_size": 151936,
            },
            vision_config={"out_hidden_size": 4096},
        )
    )
}
CHECKPOINTS = {
    "flux": Large("FluxKontextPipeline", {"transformer": flux}, kontext_vae),
    "texts": Large("FluxKontextPipeline", TEXTS, kontext_vae, files=LENGTHS, only="vl_parser"),
    # with all their networks, for benchmarks.parts
    "kontext": Large(
        "FluxKontextPipeline", {"transformer": flux} | TEXTS, kontext_vae, files=LENGTHS
    ),
    "flux2-klein": Large(
        "Flux2KleinKVPipeline", {"transformer": partial(Flux2Transformer2DModel, **KLEIN)} | QWEN3
    ),
    "qwen-image-edit": Large(
        "QwenImageEditPlusPipeline",
        {"transformer": QwenImageTransformer2DModel} | QWEN_VL,
        AutoencoderKLQwenImage,
    ),
    "qwen-image-21": Large(
        "QwenImage21Pipeline",
        {"transformer": QwenImage21Transformer2DModel} | QWEN3_VL,
        AutoencoderKLQwenImage21,
    ),
    "qwen": Large(
        "QwenImageEditPlusPipeline",
        {"transformer": QwenImageTransformer2DModel},
        AutoencoderKLQwenImage,
    ),
    "klein-4b": Large(
        "Flux2KleinPipeline",
        {"transformer": partial(Flux2Transformer2DModel, **KLEIN_4B)} | QWEN3_4B,
        more={"is_distilled": True},
        only=None,
    ),
    "dev": Large("Flux2Pipeline", {"transformer": Flux2Transformer2DModel} | MISTRAL, only=None),
    "klein": Large(
        "Flux2KleinKVPipeline", {"transformer": partial(Flux2Transformer2DModel, **KLEIN)}
    ),
    "instructx": Large(
        "RetouchPipeline",
        {"transformer": drawing} | PARSING,
        kontext_vae,
        more=INSTRUCTX,
        only=None,
    ),
    "parser": Large(
        "RetouchPipeline",
        PARSING,
        kontext_vae,
        weights=True,
        more=INSTRUCTX,
        files={"tokenizer/tokenizer.json": {}},
        only="vl_parser",
    ),
    "random": Large(
        "FluxKontextPipeline",
        {"transformer": partial(flux, num_layers=3, num_single_layers=3)},
        kontext_vae,
        weights=True,
    ),
}


def write(folder: Path, large: Large) -> int:
    """Write the checkpoint to `folder`, with random bfloat16 weights in shards or without weights.
    Return its number of parameters."""
    count = 0
    for name, make in large.networks.items():
        with FakeTensorMode():
            network = make()
            shapes = {key: tuple(value.shape) for key, value in network.named_parameters()}
        _config(folder / name, network)
        count += sum(map(math.prod, shapes.values()))
        if large.weights:
            _shards(folder / name, shapes)
    with FakeTensorMode():
        _config(folder / "vae", large.vae())
    if large.weights:
        large.vae().save_pretrained(folder / "vae")  # a preview's map is fitted to it
    FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True).save_pretrained(
        folder / "scheduler"
    )
    for name, document in (
        {"model_index.json": {"_class_name": large.pipeline} | large.more} | large.files
    ).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(document))
    return count


def modules(large: Large) -> list[str]:
    """The names of the transformer's modules, where there is one."""
    if "transformer" not in large.networks:
        return []
    with FakeTensorMode():
        return [name for name, _ in large.networks["transformer"]().named_modules()]


def _config(folder: Path, network: nn.Module) -> None:
    (network.save_config if hasattr(network, "save_config") else network.config.save_pretrained)(
        folder
    )


def _shards(folder: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    generator = torch.Generator().manual_seed(0)
    places = {}
    held = {}
    size = 0
    for index, (name, shape) in enumerate(shapes.items(), start=1):
        numbers = torch.randn(shape, generator=generator) / max(1, shape[-1]) ** 0.5
        held[name] = numbers.bfloat16()
        size += held[name].nbytes
        if size > SHARD or index == len(shapes):
            file = f"diffusion_pytorch_model-{len(set(places.values())) + 1:05d}.safetensors"
            save_file(held, folder / file)
            places |= dict.fromkeys(held, file)
            held = {}
            size = 0
    (folder / "diffusion_pytorch_model.safetensors.index.json").write_text(
        json.dumps({"weight_map": places})
    )
