"""FLUX.2 klein's text side: one message of a chat without thinking, as hidden states of a Qwen3. It
sees no photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from retouch.artifacts.manifest import verify
from retouch.backends.base import Opener
from retouch.backends.onnx import OnnxRunner

GRAPH = "text"
TOKENIZER = "tokenizer.json"
# tokens: what is beyond is cut, what is missing is padded, and the transformer sees the padding too
LENGTH = 512


class TextEncoder:
    def __init__(self, folder: Path, runner: Opener = OnnxRunner):
        """ArtifactError when an artifact is not what the folder's manifest says."""
        self._runner = runner(folder, GRAPH)
        settings = verify(folder, TOKENIZER).settings
        self._before = settings["before"]
        self._after = settings["after"]
        self._tokenizer = Tokenizer.from_file(str(Path(folder) / TOKENIZER))
        self._tokenizer.enable_truncation(LENGTH)
        self._tokenizer.enable_padding(
            pad_id=settings["pad"], pad_token=settings["pad_token"], length=LENGTH
        )

    def tokens(self, instruction: str) -> tuple[np.ndarray, np.ndarray]:
        """Ids and mask, int64 [LENGTH] each. As in the pipeline a sentence may spell the chat's own
        tokens."""
        chat = self._tokenizer.encode(f"{self._before}{instruction}{self._after}")
        return np.array(chat.ids, np.int64), np.array(chat.attention_mask, np.int64)

    def read(self, instruction: str, photos: list[np.ndarray]) -> dict[str, np.ndarray]:
        """`conditioning` float32 [LENGTH, J]."""
        ids, mask = self.tokens(instruction)
        return {"conditioning": self._runner.run(ids=ids[None], mask=mask[None])["conditioning"][0]}
