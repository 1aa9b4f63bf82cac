"""A checkpoint of random weights with the shipped one's classes, sizes and layout."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from peft import LoraConfig
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedTokenizerFast

from retouch.families.instructx.pipeline import RetouchPipeline
from retouch.networks.instructx import Connector, MetaQueries, ParserHeads
from shape_fields import SHAPE_FIELDS
from training import tokenizer, transformer, vae
from training.labels import SLOTS
from training.parser import QUERIES, WIDTH, make_language_model
from training.teacher import TOKENS_PER_SLOT

ADAPTED = r".*language_model.*\.(q_proj|v_proj)"


def make_checkpoint(path: Path, seed: int = 0) -> Path:
    """Write one to `path`, with an adapter that is not zero, every weight a bfloat16 number."""
    torch.manual_seed(seed)
    trained = tokenizer.run(path / "words", sentences=200)
    language = make_language_model(trained.get_vocab_size())
    language.add_adapter(LoraConfig(r=4, target_modules=ADAPTED, init_lora_weights=False))
    encoder = vae.make()
    model = transformer.make()
    shake(encoder)
    nn.init.normal_(model.proj_out.weight, std=0.02)  # zeros would make every edit the same
    heads = ParserHeads(SHAPE_FIELDS, SLOTS, QUERIES, WIDTH)
    edit_something(heads)
    pipeline = RetouchPipeline(
        vae=encoder,
        text_encoder=language,
        tokenizer=PreTrainedTokenizerFast(tokenizer_object=trained),
        meta_queries=MetaQueries(QUERIES, WIDTH),
        parser_heads=heads,
        transformer=model,
        connector=Connector(WIDTH, 4 * WIDTH, transformer.CONDITIONING, TOKENS_PER_SLOT),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        prediction="affine",
        default_steps=4,
    )
    for part in pipeline.components.values():
        if isinstance(part, nn.Module):
            round_weights(part)
    pipeline.save_pretrained(path)
    width = transformer.WIDTH
    preview = {"weight": torch.randn(width, 48) / width**0.5, "bias": torch.zeros(48)}
    save_file(preview, path / "preview.safetensors")
    return path


@torch.no_grad()
def edit_something(heads: ParserHeads) -> None:
    """Let every instruction ask for an edit, of many cells, as heads of random weights may not."""
    heads.labels.bias[SHAPE_FIELDS["op"].index("none")] = -10
    heads.cell[-1].bias.fill_(0.5)


@torch.no_grad()
def shake(module: nn.Module) -> None:
    """Away from weights set by hand, of which many are zero and would hide an error."""
    for parameter in module.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))


@torch.no_grad()
def round_weights(module: nn.Module) -> None:
    for parameter in module.parameters():
        parameter.copy_(parameter.bfloat16().float())
