"""The model `vl_parser` of FLUX.2 klein: the first layers of a Qwen3. Three of their hidden states
are the prompt embeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Qwen2Tokenizer, Qwen3ForCausalLM

from retouch.families.flux2_klein.text import GRAPH, TOKENIZER
from retouch_export.checkpoint import Checkpoint
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.graph import Graph, Shape
from retouch_export.parts import Part

FOLDER = "text_encoder"
# whose outputs are taken, counted from 1: `text_encoder_out_layers` of the pipeline
LAYERS = (9, 18, 27)
PLACEHOLDER = "{instruction}"  # of the instruction, when the chat template is split


class Text(nn.Module):
    """`ids` and `mask` int64 [B, T] → prompt embeds float32 [B, T, len(LAYERS) · width]. The
    transformer has no mask, so the padding's hidden states are used too."""

    def __init__(self, model: Qwen3ForCausalLM):
        super().__init__()
        self.model = model
        self.layers = LAYERS

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        network = self.model.model
        states = []
        hidden = network.embed_tokens(ids)
        rope = rotary(network.config, ids, hidden.dtype)
        visible = attention_mask(mask, hidden.dtype)
        for number, layer in enumerate(network.layers, start=1):
            hidden = layer(hidden, attention_mask=visible, position_embeddings=rope)
            if number in self.layers:
                states.append(hidden)
        return torch.cat(states, -1).float()


def rotary(config, ids: Tensor, kind: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines [1, T, head size] of positions from 0, as in `Qwen3RotaryEmbedding` of the
    default type."""
    even = torch.arange(0, config.head_dim, 2, dtype=torch.float32, device=ids.device)
    frequency = 1.0 / config.rope_parameters["rope_theta"] ** (even / config.head_dim)
    angle = torch.arange(ids.shape[1], dtype=torch.float32, device=ids.device)[:, None] * frequency
    angle = torch.cat([angle, angle], -1)[None]
    return angle.cos().to(kind), angle.sin().to(kind)


def attention_mask(mask: Tensor, kind: torch.dtype) -> Tensor:
    """The attention mask [B, 1, T, T]: 0 where a token attends to another, else the lowest number.
    A token attends to itself and to earlier ones, without padding."""
    place = torch.arange(mask.shape[1], device=mask.device)
    hidden = ~((place <= place[:, None]) & mask[:, None, None].bool())
    return hidden.to(kind) * torch.finfo(kind).min


def _tokenizer(checkpoint: Checkpoint) -> Qwen2Tokenizer:
    return Qwen2Tokenizer.from_pretrained(checkpoint.plain("tokenizer"))


def _check(config) -> None:
    if config.num_hidden_layers <= max(LAYERS):
        raise CheckpointError(
            f"the text encoder has {config.num_hidden_layers} layers; it must have more than "
            f"{max(LAYERS)}"
        )
    strange = config.rope_parameters.get("rope_type", "default") != "default"
    if strange or set(config.layer_types) != {"full_attention"}:
        raise CheckpointError(
            "the text encoder has scaled rotary positions or sliding windows; neither is supported"
        )


class VlParser(Part):
    """The graph `text`, and the tokenizer."""

    component = FOLDER

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        """The weights are rounded to bfloat16 and computed in float32. In `outline` there are none,
        and the graphs compute in bfloat16."""
        model = checkpoint.typed(Qwen3ForCausalLM, FOLDER, outline)
        _check(model.config)
        model.lm_head = nn.Identity()
        model.model.layers = model.model.layers[: max(LAYERS)]
        # products and a softmax in float32, which any runtime has
        model.config._attn_implementation = "eager"

        def inputs(shape: Shape) -> dict[str, Tensor]:
            lengths = 1 + shape.text // (1 + torch.arange(shape.batch))
            return {
                "ids": torch.randint(0, model.config.vocab_size, (shape.batch, shape.text)),
                "mask": (torch.arange(shape.text) < lengths[:, None]).long(),
            }

        # with a fixed length torch's exporter would fold rotary tables in bfloat16
        axes = {0: "batch", 1: "length"}
        return [Graph(GRAPH, Text(model), inputs, {"ids": axes, "mask": axes}, ("conditioning",))]

    def parameter_name(self, name: str) -> str:
        """The name in a Qwen3ForCausalLM. A Qwen3Model's names lack `model.`."""
        return name if name.startswith(("model.", "lm_head.")) else f"model.{name}"

    def settings(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """The chat `before` and `after` an instruction, and the padding's token."""
        tokenizer = _tokenizer(checkpoint)
        if (tokenizer.padding_side, tokenizer.truncation_side) != ("right", "right"):
            raise CheckpointError(
                "the checkpoint's tokenizer pads or cuts on the left; only the right is supported"
            )
        chat = str(
            tokenizer.apply_chat_template(
                [{"role": "user", "content": PLACEHOLDER}],
                tokenize=False,
                add_generation_prompt=True,
                enable_thinking=False,
            )
        )
        if chat.count(PLACEHOLDER) != 1:
            raise CheckpointError(
                "the chat template of the checkpoint's tokenizer does not contain a message once, "
                "unchanged"
            )
        before, after = chat.split(PLACEHOLDER)
        return {
            "before": before,
            "after": after,
            "pad": tokenizer.pad_token_id,
            "pad_token": tokenizer.pad_token,
        }

    def files(self, checkpoint: Checkpoint, folder: Path) -> None:
        _tokenizer(checkpoint).backend_tokenizer.save(str(folder / TOKENIZER))


PART = VlParser()
