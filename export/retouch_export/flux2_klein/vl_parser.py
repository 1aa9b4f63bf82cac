"""The model `vl_parser` of FLUX.2 klein: the first layers of a Qwen3. Three of their hidden states
are the prompt embeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast, Qwen2Tokenizer, Qwen3ForCausalLM

from retouch.families.flux2_klein.text import GRAPH, TOKENIZER
from retouch.networks import mistral_text, qwen3_text
from retouch_export.checkpoint import Checkpoint
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.graph import Graph, Shape
from retouch_export.parts import Part

FOLDER = "text_encoder"
# whose outputs are taken, counted from 1: `text_encoder_out_layers` of the pipeline
LAYERS = (9, 18, 27)
PLACEHOLDER = "{instruction}"  # of the instruction, when the chat template is split


def _chat_settings(tokenizer: PreTrainedTokenizerFast, chat: str) -> dict[str, Any]:
    """What stands before and after PLACEHOLDER in `chat`, and the padding; CheckpointError."""
    if tokenizer.truncation_side != "right":
        raise CheckpointError(
            "the checkpoint's tokenizer cuts on the left; only the right is supported"
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
        "padding_side": tokenizer.padding_side,
    }


def _check(config: Any, layers: Sequence[int]) -> None:
    """CheckpointError for a language model's config without these layers, or with positions or
    attention that its graph does not have."""
    if config.num_hidden_layers <= max(layers):
        raise CheckpointError(
            f"the text encoder has {config.num_hidden_layers} layers; it must have more than "
            f"{max(layers)}"
        )
    is_scaled = config.rope_parameters.get("rope_type", "default") != "default"
    if is_scaled or config.sliding_window is not None:
        raise CheckpointError(
            "the text encoder has scaled rotary positions or sliding windows; neither is supported"
        )


def _inputs(vocabulary: int, shape: Shape) -> dict[str, Tensor]:
    """Example inputs of a graph `text`: chats of several lengths, padded on the right."""
    lengths = 1 + shape.text // (1 + torch.arange(shape.batch))
    return {
        "ids": torch.randint(0, vocabulary, (shape.batch, shape.text)),
        "mask": (torch.arange(shape.text) < lengths[:, None]).long(),
    }


# with a fixed length torch's exporter would fold rotary tables in bfloat16
_CHATS = {0: "batch", 1: "length"}
AXES = {"ids": _CHATS, "mask": _CHATS}


class VlParser(Part):
    """The graph `text`, and the tokenizer. `text` is the class of the graph's module."""

    component = FOLDER
    passes = qwen3_text.__name__
    networks: Mapping[str, type] = {FOLDER: Qwen3ForCausalLM}
    text: type[qwen3_text.Text] | type[mistral_text.Text] = qwen3_text.Text

    @property
    def layers(self) -> Sequence[int]:
        """Those whose outputs are taken, counted from 1."""
        return LAYERS

    def config(self, model: Any) -> Any:
        """The language model's config."""
        return model.config

    def tokenizer(self, checkpoint: Checkpoint) -> PreTrainedTokenizerFast:
        return Qwen2Tokenizer.from_pretrained(checkpoint.plain("tokenizer"))

    def chat(self, tokenizer: PreTrainedTokenizerFast) -> str:
        """The pipeline's chat about PLACEHOLDER; CheckpointError."""
        if tokenizer.padding_side != "right":
            raise CheckpointError(
                "the checkpoint's tokenizer pads on the left; only the right is supported"
            )
        messages = [{"role": "user", "content": PLACEHOLDER}]
        return str(
            tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True, enable_thinking=False
            )
        )

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        """The weights are rounded to bfloat16 and computed in float32. In `outline` there are none,
        and the graphs compute in bfloat16."""
        model = checkpoint.typed(self.networks[FOLDER], FOLDER, outline)
        config = self.config(model)
        _check(config, self.layers)
        inputs = partial(_inputs, config.vocab_size)
        return [Graph(GRAPH, self.text(model, self.layers), inputs, AXES, self.text.outputs)]

    def parameter_name(self, name: str) -> str:
        """The name in a Qwen3ForCausalLM. A Qwen3Model's names lack `model.`."""
        return name if name.startswith(("model.", "lm_head.")) else f"model.{name}"

    def settings(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """The chat `before` and `after` an instruction, the padding, and the layers."""
        tokenizer = self.tokenizer(checkpoint)
        return _chat_settings(tokenizer, self.chat(tokenizer)) | {"layers": self.layers}

    def files(self, checkpoint: Checkpoint, folder: Path) -> None:
        self.tokenizer(checkpoint).backend_tokenizer.save(str(folder / TOKENIZER))


PART = VlParser()
