"""The model `vl_parser` of FLUX.1 Kontext: the text encoders CLIP, for a pooled vector, and T5, for
all tokens.

The graphs compute in float32. Weights stay as the checkpoint stores them and are widened where they
are used. The tokenizers' files contain the lengths that they cut and pad to."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    PreTrainedTokenizerFast,
    T5EncoderModel,
    T5Tokenizer,
)

from retouch.artifacts.manifest import FLOAT32
from retouch.families.flux_kontext.text import CLIP, CLIP_TOKENIZER, T5, T5_TOKENIZER
from retouch.networks import clip_t5
from retouch.networks.clip_t5 import Pooled, Sequence
from retouch_export.checkpoint import Checkpoint
from retouch_export.graph import Graph, Shape
from retouch_export.parts import Part
from retouch_export.safetensors_index import TensorSource
from retouch_export.sizes import EMBEDDINGS

FOLDERS = {"text_encoder": CLIPTextModel, "text_encoder_2": T5EncoderModel}
LONGEST = 512  # tokens of T5: FluxKontextPipeline's limit
PREFIX = "text_model."  # before every name of CLIP's in files that transformers older than 5 wrote


def _graph(name: str, module: Pooled | Sequence, length: int, vocabulary: int) -> Graph:
    def inputs(shape: Shape) -> dict[str, Tensor]:
        return {"input_ids": torch.randint(0, vocabulary, (shape.batch, length))}

    return Graph(name, module, inputs, {"input_ids": {0: "batch"}}, module.outputs)


def lengths(checkpoint: Checkpoint) -> tuple[int, int]:
    """Tokens of an instruction for CLIP and for T5, by the tokenizers' settings."""
    limits = (
        checkpoint.json(f"{name}/tokenizer_config.json").get("model_max_length")
        for name in ("tokenizer", "tokenizer_2")
    )
    clip, t5 = (LONGEST if length is None else int(length) for length in limits)
    positions = CLIPTextConfig.from_dict(
        checkpoint.json("text_encoder/config.json")
    ).max_position_embeddings
    return min(clip, positions), min(t5, LONGEST)


def _fixed(tokenizer: PreTrainedTokenizerFast, length: int) -> Tokenizer:
    """The tokenizer, cutting and padding to `length` as by `padding="max_length",
    truncation=True`."""
    backend = tokenizer.backend_tokenizer
    backend.enable_truncation(length, direction=tokenizer.truncation_side)
    backend.enable_padding(
        length=length,
        direction=tokenizer.padding_side,
        pad_id=tokenizer.pad_token_id,
        pad_token=tokenizer.pad_token,
        pad_type_id=tokenizer.pad_token_type_id,
    )
    return backend


class VlParser(Part):
    """The graphs `clip` and `t5`, and their tokenizers."""

    arithmetic = FLOAT32
    passes = clip_t5.__name__
    networks = FOLDERS

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        """They compute in float32, in `outline` too."""
        return self._graphs(checkpoint, torch.float32 if outline else None)

    def typed_graphs(self, checkpoint: Checkpoint) -> list[Graph]:
        """In bfloat16, as transformers computes in that type: variances of norms in float32, and
        CLIP's softmax."""
        return self._graphs(checkpoint, torch.bfloat16)

    def _graphs(self, checkpoint: Checkpoint, dtype: torch.dtype | None) -> list[Graph]:
        """Without weights in `dtype`, or with the checkpoint's in float32."""
        clip, t5 = (
            checkpoint.outline(kind, name, dtype) if dtype else checkpoint.load(kind, name)
            for name, kind in FOLDERS.items()
        )
        clip_length, t5_length = lengths(checkpoint)
        return [
            _graph(CLIP, Pooled(clip), clip_length, clip.config.vocab_size),
            _graph(T5, Sequence(t5), t5_length, t5.config.vocab_size),
        ]

    def parameters(self, checkpoint: Checkpoint) -> dict[str, TensorSource]:
        """The parameters by their names in the graphs."""
        tensors = {
            self.parameter_name(name): tensor
            for folder in FOLDERS
            for name, tensor in checkpoint.stored(folder).items()
            if not tensor.is_count
        }
        embedding = next((tensors[name] for name in EMBEDDINGS if name in tensors), None)
        tensors |= dict.fromkeys(EMBEDDINGS, embedding) if embedding else {}
        return {f"model.{name}": tensor for name, tensor in tensors.items()}

    def parameter_name(self, name: str) -> str:
        """The name in a CLIPTextModel or a T5EncoderModel."""
        return name.removeprefix(PREFIX)

    def files(self, checkpoint: Checkpoint, folder: Path) -> None:
        clip_length, t5_length = lengths(checkpoint)
        _fixed(CLIPTokenizer.from_pretrained(checkpoint.plain("tokenizer")), clip_length).save(
            str(folder / CLIP_TOKENIZER)
        )
        _fixed(T5Tokenizer.from_pretrained(checkpoint.plain("tokenizer_2")), t5_length).save(
            str(folder / T5_TOKENIZER)
        )


PART = VlParser()
