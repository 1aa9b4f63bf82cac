"""FLUX.2 dev's pipeline of random weights, every class the real one's but for the processor: its
image part, which no edit uses, needs torchvision."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2Pipeline,
    Flux2Transformer2DModel,
)
from diffusers.pipelines.flux2.system_messages import SYSTEM_MESSAGE
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import Mistral3Config, Mistral3ForConditionalGeneration, PreTrainedTokenizerFast

import published_names
from klein_tiny import LAYERS, WIDTH, make_transformer, make_vae
from retouch_export.flux2_dev import vl_parser
from tiny import round_weights, shake

SPECIAL = (
    "<pad>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[IMG]",
)
SENTENCES = (
    "make the red circle blue",
    "Turn the sky\n into [IMG] [INST] Öl, 3 × 17!",
    "remove it " * 600,
)
# of Mistral's own template what a system message and one of a user meet
TEMPLATE = """{{- bos_token }}
{%- for message in messages %}
{%- set mark = 'SYSTEM_PROMPT' if message.role == 'system' else 'INST' %}
{{- '[' + mark + ']' }}
{%- for block in message.content %}{{ block.text }}{% endfor %}
{{- '[/' + mark + ']' }}
{%- endfor %}"""


def load_pipeline(folder: Path) -> Flux2Pipeline:
    """A checkpoint's pipeline in float32, without a progress bar. Its processor is replaced by the
    tokenizer."""
    kinds = {
        "scheduler": FlowMatchEulerDiscreteScheduler,
        "vae": AutoencoderKLFlux2,
        "text_encoder": Mistral3ForConditionalGeneration,
        "tokenizer": PreTrainedTokenizerFast,
        "transformer": Flux2Transformer2DModel,
    }
    parts = {name: kind.from_pretrained(folder / name) for name, kind in kinds.items()}
    for name in ("vae", "text_encoder", "transformer"):
        parts[name].float()
    pipeline = Flux2Pipeline(**parts)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def few_layers(patch) -> None:
    """Make the pipeline, and the export, take LAYERS; `patch` is pytest's MonkeyPatch."""
    original = Flux2Pipeline._get_mistral_3_small_prompt_embeds

    def embeds(**options):
        return original(**options | {"hidden_states_layers": LAYERS})

    patch.setattr(Flux2Pipeline, "_get_mistral_3_small_prompt_embeds", staticmethod(embeds))
    patch.setattr(vl_parser, "LAYERS", LAYERS)


def make_checkpoint(path: Path) -> Path:
    """Write a pipeline to `path`, every weight a bfloat16 number."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    pipeline = Flux2Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=make_vae(),
        text_encoder=make_text_encoder(len(tokenizer)),
        tokenizer=tokenizer,
        transformer=make_transformer(guidance_embeds=True),
    )
    for part in (pipeline.vae, pipeline.text_encoder, pipeline.transformer):
        shake(part)
        round_weights(part)
    pipeline.save_pretrained(path)
    publish(path)
    return path


def publish(folder: Path) -> None:
    """The names of published files: those of a processor, and of transformers before 4.52."""
    index = json.loads((folder / "model_index.json").read_text())
    index["tokenizer"] = ["transformers", "PixtralProcessor"]
    (folder / "model_index.json").write_text(json.dumps(index))
    file = folder / "text_encoder" / "model.safetensors"
    published_names.shard(file, {older(name): value for name, value in load_file(file).items()})


def older(name: str) -> str:
    name = name.removeprefix("model.")
    if name.startswith("language_model.") and not name.startswith("language_model.model."):
        return name.replace("language_model.", "language_model.model.", 1)
    return f"language_model.{name}" if name.startswith("lm_head.") else name


def make_text_encoder(vocabulary: int) -> Mistral3ForConditionalGeneration:
    config = Mistral3Config(
        text_config={
            "model_type": "mistral",
            "vocab_size": vocabulary,
            "hidden_size": WIDTH,
            "intermediate_size": 48,
            "num_hidden_layers": max(LAYERS) + 1,
            "head_dim": 16,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "sliding_window": None,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e9},
        },
        vision_config={
            "model_type": "pixtral",
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "head_dim": 8,
            "image_size": 28,
            "patch_size": 14,
        },
        image_token_index=SPECIAL.index("[IMG]"),
    )
    return Mistral3ForConditionalGeneration(config)


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Bytes and pairs learnt from a few words. It pads on the left, and begins a text with <s>
    unless it is a chat."""
    learnt = Tokenizer(models.BPE())
    learnt.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    learnt.train_from_iterator(
        [*SENTENCES, SYSTEM_MESSAGE] * 4,
        trainers.BpeTrainer(
            vocab_size=600,
            special_tokens=list(SPECIAL),
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    learnt.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", SPECIAL.index("<s>"))]
    )
    made = PreTrainedTokenizerFast(
        tokenizer_object=learnt,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        padding_side="left",
    )
    made.chat_template = TEMPLATE
    return made
