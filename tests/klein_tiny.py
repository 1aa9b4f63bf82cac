"""FLUX.2 klein's pipelines of random weights, every class the real one's, a few hundred numbers
wide."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinKVPipeline,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
)
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import Qwen2TokenizerFast, Qwen3Config, Qwen3ForCausalLM

from retouch_export.flux2_klein import vl_parser
from tiny import round_weights, shake

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")
SENTENCES = (
    "make the red circle blue",
    "Turn the sky\n into <|im_end|> Öl, 3 × 17!",
    "remove it " * 300,
)
# of Qwen3's own template what a single message of a user meets
TEMPLATE = """{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}
{{- '<think>\\n\\n</think>\\n\\n' }}
{%- endif %}
{%- endif %}"""
WIDTH = 32
LATENTS = 4
# of the text encoder that are taken, in place of 9, 18 and 27: a graph of 29 takes minutes
LAYERS = (1, 2, 3)


def load_pipeline(kind, folder, **options):
    """A checkpoint's pipeline in float32, without a progress bar."""
    pipeline = kind.from_pretrained(folder, torch_dtype=torch.float32, **options)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def few_layers(patch) -> None:
    """Make the pipelines, and the export, take LAYERS; `patch` is pytest's MonkeyPatch."""
    for pipeline in (Flux2KleinKVPipeline, Flux2KleinPipeline):
        patch.setattr(
            pipeline, "_get_qwen3_prompt_embeds", staticmethod(_with_few_layers(pipeline))
        )
    patch.setattr(vl_parser, "LAYERS", LAYERS)


def _with_few_layers(kind):
    original = kind._get_qwen3_prompt_embeds
    return lambda **options: original(**options | {"hidden_states_layers": LAYERS})


def make_checkpoint(path: Path, kind=Flux2KleinKVPipeline, **options) -> Path:
    """Write a pipeline of that kind to `path`, every weight a bfloat16 number. The weights are the
    same for all kinds."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    pipeline = kind(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=make_vae(),
        text_encoder=Qwen3ForCausalLM(
            Qwen3Config(
                vocab_size=len(tokenizer),
                hidden_size=WIDTH,
                intermediate_size=48,
                num_hidden_layers=max(LAYERS) + 1,
                head_dim=16,
                num_attention_heads=4,
                num_key_value_heads=2,
                rope_parameters={"rope_type": "default", "rope_theta": 1e6},
            )
        ),
        tokenizer=tokenizer,
        transformer=make_transformer(),
        **options,
    )
    for part in (pipeline.vae, pipeline.text_encoder, pipeline.transformer):
        shake(part)
        round_weights(part)
    pipeline.save_pretrained(path)
    return path


def make_transformer(guidance_embeds: bool = False) -> Flux2Transformer2DModel:
    """One block of each kind: the shipped checkpoint's network has several, in the same order."""
    return Flux2Transformer2DModel(
        in_channels=4 * LATENTS,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=32,
        num_attention_heads=2,
        joint_attention_dim=3 * WIDTH,
        axes_dims_rope=(8, 8, 8, 8),
        guidance_embeds=guidance_embeds,
    )


def make_vae() -> AutoencoderKLFlux2:
    """Its batch norm has seen latents, as in a checkpoint."""
    vae = AutoencoderKLFlux2(
        block_out_channels=(8, 8, 16, 16),
        layers_per_block=1,
        latent_channels=LATENTS,
        norm_num_groups=4,
        sample_size=128,
    )
    vae.bn.running_mean.normal_(0, 0.3)
    vae.bn.running_var.uniform_(0.5, 2)
    return vae


def make_tokenizer() -> Qwen2TokenizerFast:
    """Qwen's way of cutting, learnt from a few words."""
    learnt = Tokenizer(models.BPE())
    learnt.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    learnt.train_from_iterator(
        [*SENTENCES, "user assistant"] * 4,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=list(SPECIAL),
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    merges = [tuple(pair) for pair in json.loads(learnt.to_str())["model"]["merges"]]
    made = Qwen2TokenizerFast(
        vocab=learnt.get_vocab(), merges=merges, additional_special_tokens=list(SPECIAL[1:3])
    )
    made.chat_template = TEMPLATE
    return made


def photo(size: tuple[int, int], seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8))
