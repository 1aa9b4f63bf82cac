"""The model `vl_parser` of FLUX.2 dev: the first layers of a Mistral 3's language model. Three of
their hidden states are the prompt embeds."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, cast

from diffusers.pipelines.flux2.system_messages import SYSTEM_MESSAGE
from transformers import AutoTokenizer, Mistral3ForConditionalGeneration, PreTrainedTokenizerFast

from retouch.families.flux2_klein.text import GRAPH, TOKENIZER
from retouch.networks import mistral_text
from retouch.networks.mistral_text import Text
from retouch_export.checkpoint import Checkpoint
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.flux2_klein.vl_parser import (
    AXES,
    FOLDER,
    PLACEHOLDER,
    chat_inputs,
    chat_settings,
    check,
)
from retouch_export.graph import Graph
from retouch_export.parts import Part

# whose outputs are taken, counted from 1: `text_encoder_out_layers` of the pipeline
LAYERS = (10, 20, 30)
# the parts of a Mistral3ForConditionalGeneration, by published names
PARTS = ("language_model.", "vision_tower.", "multi_modal_projector.")


class VlParser(Part):
    """The graph `text`, and the tokenizer."""

    component = FOLDER
    passes = mistral_text.__name__
    networks = {FOLDER: Mistral3ForConditionalGeneration}

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        """The weights are rounded to bfloat16 and computed in float32. In `outline` there are none,
        and the graphs compute in bfloat16."""
        model = checkpoint.typed(Mistral3ForConditionalGeneration, FOLDER, outline)
        config = model.config.text_config
        check(config, LAYERS)
        inputs = partial(chat_inputs, config.vocab_size)
        return [Graph(GRAPH, Text(model, LAYERS), inputs, AXES, Text.outputs)]

    def parameter_name(self, name: str) -> str:
        """The name in a Mistral3ForConditionalGeneration of a tensor by any release of
        transformers."""
        name = name.removeprefix("model.")
        if name.startswith("language_model.lm_head."):
            return name.removeprefix("language_model.")
        name = name.replace("language_model.model.", "language_model.", 1)
        return f"model.{name}" if name.startswith(PARTS) else name

    def settings(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """The system message and the chat `before` and `after` an instruction, the padding, and the
        layers."""
        tokenizer = _tokenizer(checkpoint)
        chat = str(
            tokenizer.apply_chat_template(
                [_message("system", SYSTEM_MESSAGE), _message("user", PLACEHOLDER)],
                tokenize=False,
                add_generation_prompt=False,
            )
        )
        first = tokenizer.bos_token
        if first and not chat.startswith(str(first)):
            raise CheckpointError(
                "the chat template of the checkpoint's tokenizer does not begin with the token "
                f"{first}"
            )
        return chat_settings(tokenizer, chat) | {"layers": LAYERS}

    def files(self, checkpoint: Checkpoint, folder: Path) -> None:
        _tokenizer(checkpoint).backend_tokenizer.save(str(folder / TOKENIZER))


def _message(role: str, text: str) -> dict[str, Any]:
    """A message as a processor's chat template takes it."""
    return {"role": role, "content": [{"type": "text", "text": text}]}


def _tokenizer(checkpoint: Checkpoint) -> PreTrainedTokenizerFast:
    """The tokenizer of the pipeline's processor, without the processor's image part."""
    folder = checkpoint.plain("tokenizer")
    return cast(PreTrainedTokenizerFast, AutoTokenizer.from_pretrained(folder))


PART = VlParser()
