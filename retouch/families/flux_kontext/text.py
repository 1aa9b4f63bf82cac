"""FLUX.1 Kontext's text encoders: CLIP's pooled vector and T5's hidden states. They do not see the
photos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from retouch.artifacts.manifest import verify
from retouch.backends.base import BackendFactory
from retouch.backends.batches import run_rows
from retouch.backends.onnx import OnnxBackend

CLIP = "clip"
T5 = "t5"
CLIP_TOKENIZER = "tokenizer.json"
T5_TOKENIZER = "tokenizer_2.json"


class TextEncoder:
    """As `FluxKontextPipeline.encode_prompt`. The tokenizers cut and pad an instruction to their
    encoders' lengths."""

    def __init__(self, folder: Path, backend: BackendFactory = OnnxBackend):
        """ArtifactError when an artifact does not match the folder's manifest."""
        self._clip = backend(folder, CLIP)
        self._t5 = backend(folder, T5)
        self.batches = self._t5.batches
        self.compiles = self._t5.compiles
        verify(folder, CLIP_TOKENIZER, T5_TOKENIZER)
        self._tokenizers = [
            Tokenizer.from_file(str(Path(folder) / name)) for name in (CLIP_TOKENIZER, T5_TOKENIZER)
        ]

    def encode_text(self, instruction: str, photos: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """`prompt_embeds` [T, J] and `pooled_prompt_embeds` [P], float32; `photos` are not used."""
        return self.encode_texts([(instruction, photos)])[0]

    def prepared(self, photo: np.ndarray) -> np.ndarray:
        """The photo itself, which is not used."""
        return photo

    def encode_texts(
        self, rows: Sequence[tuple[str, Sequence[np.ndarray]]]
    ) -> list[dict[str, np.ndarray]]:
        """`encode_text` of several instructions."""
        pairs = [self.ids(instruction) for instruction, _ in rows]
        texts = run_rows(self._t5, [{"input_ids": t5[None]} for _, t5 in pairs])
        vectors = run_rows(self._clip, [{"input_ids": clip[None]} for clip, _ in pairs])
        return [
            {"prompt_embeds": text["text"][0], "pooled_prompt_embeds": vector["pooled"][0]}
            for text, vector in zip(texts, vectors)
        ]

    def ids(self, instruction: str) -> tuple[np.ndarray, np.ndarray]:
        """Token ids for CLIP and for T5, both int64 [T]."""
        clip, t5 = (
            np.array(tokenizer.encode(instruction).ids, np.int64) for tokenizer in self._tokenizers
        )
        return clip, t5
