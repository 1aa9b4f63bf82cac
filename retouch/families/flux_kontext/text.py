"""FLUX.1 Kontext's text: CLIP's pooled vector and T5's hidden states; it does not look at the
photo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from retouch.artifacts.manifest import verify
from retouch.backends.base import Opener
from retouch.backends.onnx import OnnxRunner

CLIP = "clip"
T5 = "t5"
CLIP_TOKENIZER = "tokenizer.json"
T5_TOKENIZER = "tokenizer_2.json"


class TextEncoder:
    """As `FluxKontextPipeline.encode_prompt`; the tokenizers cut and fill a sentence to their
    encoders' lengths."""

    def __init__(self, folder: Path, runner: Opener = OnnxRunner):
        """ArtifactError when an artifact is not what the folder's manifest says."""
        self._clip = runner(folder, CLIP)
        self._t5 = runner(folder, T5)
        verify(folder, CLIP_TOKENIZER, T5_TOKENIZER)
        self._tokenizers = [
            Tokenizer.from_file(str(Path(folder) / name)) for name in (CLIP_TOKENIZER, T5_TOKENIZER)
        ]

    def read(self, instruction: str, photos: list[np.ndarray]) -> dict[str, np.ndarray]:
        """`conditioning` [T, J] and `pooled` [P]."""
        clip, t5 = self.ids(instruction)
        return {
            "conditioning": self._t5.run(input_ids=t5[None])["text"][0],
            "pooled": self._clip.run(input_ids=clip[None])["pooled"][0],
        }

    def ids(self, instruction: str) -> tuple[np.ndarray, np.ndarray]:
        """Token ids int64 for CLIP and for T5."""
        clip, t5 = (np.array(each.encode(instruction).ids, np.int64) for each in self._tokenizers)
        return clip, t5
