"""FLUX.2 klein's text encoder: one message of a chat without thinking, as hidden states of a Qwen3.
It does not see the photos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from retouch.artifacts.manifest import verify
from retouch.backends.base import BackendFactory
from retouch.backends.batches import run_rows
from retouch.backends.onnx import OnnxBackend

GRAPH = "text"
TOKENIZER = "tokenizer.json"
# tokens: a longer chat is cut, a shorter one padded, and the transformer attends to the padding too
LENGTH = 512


class TextEncoder:
    """The pipeline's chat template around an instruction, and the graph `text`."""

    def __init__(self, folder: Path, backend: BackendFactory = OnnxBackend):
        """ArtifactError when an artifact does not match the folder's manifest."""
        self._backend = backend(folder, GRAPH)
        self.batches = self._backend.batches
        self.compiles = self._backend.compiles
        settings = verify(folder, TOKENIZER).settings
        self._before = settings["before"]
        self._after = settings["after"]
        self._tokenizer = Tokenizer.from_file(str(Path(folder) / TOKENIZER))
        self._tokenizer.enable_truncation(LENGTH)
        self._tokenizer.enable_padding(
            direction=settings.get("padding_side", "right"),  # older exports do not say
            pad_id=settings["pad"],
            pad_token=settings["pad_token"],
            length=LENGTH,
        )

    def tokens(self, instruction: str) -> tuple[np.ndarray, np.ndarray]:
        """Ids and mask, both int64 [LENGTH]. As in the pipeline, an instruction may contain the
        chat's special tokens."""
        chat = self._tokenizer.encode(
            f"{self._before}{instruction}{self._after}", add_special_tokens=False
        )
        return np.array(chat.ids, np.int64), np.array(chat.attention_mask, np.int64)

    def encode_text(self, instruction: str, photos: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """`prompt_embeds` float32 [LENGTH, J]; `photos` are not used."""
        return self.encode_texts([(instruction, photos)])[0]

    def prepared(self, photo: np.ndarray) -> np.ndarray:
        """The photo itself, which is not used."""
        return photo

    def encode_texts(
        self, rows: Sequence[tuple[str, Sequence[np.ndarray]]]
    ) -> list[dict[str, np.ndarray]]:
        """`encode_text` of several instructions."""
        pairs = [self.tokens(instruction) for instruction, _ in rows]
        inputs = [{"ids": ids[None], "mask": mask[None]} for ids, mask in pairs]
        return [
            {"prompt_embeds": outputs["conditioning"][0]}
            for outputs in run_rows(self._backend, inputs)
        ]
