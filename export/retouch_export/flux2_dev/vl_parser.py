"""The model `vl_parser` of FLUX.2 dev: the first layers of a Mistral 3's language model. Three of
their hidden states are the prompt embeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from diffusers.pipelines.flux2.system_messages import SYSTEM_MESSAGE
from transformers import AutoTokenizer, Mistral3ForConditionalGeneration, PreTrainedTokenizerFast

from retouch.networks import mistral_text
from retouch_export.checkpoint import Checkpoint
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.flux2_klein import vl_parser
from retouch_export.flux2_klein.vl_parser import FOLDER, PLACEHOLDER

# whose outputs are taken, counted from 1: `text_encoder_out_layers` of the pipeline
LAYERS = (10, 20, 30)
# the parts of a Mistral3ForConditionalGeneration, by published names
PARTS = ("language_model.", "vision_tower.", "multi_modal_projector.")


class VlParser(vl_parser.VlParser):
    """The graph `text`, and the tokenizer."""

    passes = mistral_text.__name__
    networks: Mapping[str, type] = {FOLDER: Mistral3ForConditionalGeneration}
    text = mistral_text.Text

    @property
    def layers(self) -> Sequence[int]:
        return LAYERS

    def config(self, model: Mistral3ForConditionalGeneration) -> Any:
        return model.config.text_config

    def tokenizer(self, checkpoint: Checkpoint) -> PreTrainedTokenizerFast:
        """That of the pipeline's processor, without the processor's image part."""
        folder = checkpoint.plain("tokenizer")
        return cast(PreTrainedTokenizerFast, AutoTokenizer.from_pretrained(folder))

    def chat(self, tokenizer: PreTrainedTokenizerFast) -> str:
        """The system message, and a user's; CheckpointError."""
        messages = [_message("system", SYSTEM_MESSAGE), _message("user", PLACEHOLDER)]
        chat = str(
            tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=False)
        )
        first = tokenizer.bos_token
        if first and not chat.startswith(str(first)):
            raise CheckpointError(
                "the chat template of the checkpoint's tokenizer does not begin with the token "
                f"{first}"
            )
        return chat

    def parameter_name(self, name: str) -> str:
        """The name in a Mistral3ForConditionalGeneration of a tensor by any release of
        transformers."""
        name = name.removeprefix("model.")
        if name.startswith("language_model.lm_head."):
            return name.removeprefix("language_model.")
        name = name.replace("language_model.model.", "language_model.", 1)
        return f"model.{name}" if name.startswith(PARTS) else name


def _message(role: str, text: str) -> dict[str, Any]:
    """A message as a processor's chat template takes it."""
    return {"role": role, "content": [{"type": "text", "text": text}]}


PART = VlParser()
