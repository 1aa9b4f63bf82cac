"""The model `vl_parser` of FLUX.2 klein: the first layers of a Qwen3. Three of their hidden states
are the prompt embeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import Qwen2Tokenizer, Qwen3ForCausalLM

from retouch.families.flux2_klein.text import GRAPH, TOKENIZER
from retouch.networks import qwen3_text
from retouch.networks.qwen3_text import Text
from retouch_export.checkpoint import Checkpoint
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.graph import Graph, Shape
from retouch_export.parts import Part

FOLDER = "text_encoder"
# whose outputs are taken, counted from 1: `text_encoder_out_layers` of the pipeline
LAYERS = (9, 18, 27)
PLACEHOLDER = "{instruction}"  # of the instruction, when the chat template is split


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
    passes = qwen3_text.__name__
    networks = {FOLDER: Qwen3ForCausalLM}

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        """The weights are rounded to bfloat16 and computed in float32. In `outline` there are none,
        and the graphs compute in bfloat16."""
        model = checkpoint.typed(Qwen3ForCausalLM, FOLDER, outline)
        _check(model.config)

        def inputs(shape: Shape) -> dict[str, Tensor]:
            lengths = 1 + shape.text // (1 + torch.arange(shape.batch))
            return {
                "ids": torch.randint(0, model.config.vocab_size, (shape.batch, shape.text)),
                "mask": (torch.arange(shape.text) < lengths[:, None]).long(),
            }

        # with a fixed length torch's exporter would fold rotary tables in bfloat16
        axes = {0: "batch", 1: "length"}
        return [
            Graph(GRAPH, Text(model, LAYERS), inputs, {"ids": axes, "mask": axes}, Text.outputs)
        ]

    def parameter_name(self, name: str) -> str:
        """The name in a Qwen3ForCausalLM. A Qwen3Model's names lack `model.`."""
        return name if name.startswith(("model.", "lm_head.")) else f"model.{name}"

    def settings(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """The chat `before` and `after` an instruction, the padding's token, and the layers."""
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
            "layers": LAYERS,
        }

    def files(self, checkpoint: Checkpoint, folder: Path) -> None:
        _tokenizer(checkpoint).backend_tokenizer.save(str(folder / TOKENIZER))


PART = VlParser()
