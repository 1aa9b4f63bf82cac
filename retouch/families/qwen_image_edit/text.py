"""Qwen2.5-VL as Qwen-Image-Edit's text model: it sees the photos, reads the instruction, and its
last hidden states are the conditioning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL.Image import Resampling

from retouch.artifacts.manifest import verify
from retouch.backends.base import Opener
from retouch.backends.onnx import OnnxRunner
from retouch.families.qwen_image_edit.sampling import dimensions
from retouch.families.qwen_vl.chat import ChatWriter
from retouch.families.qwen_vl.patches import PatchLayout
from retouch.families.qwen_vl.rope import Rope
from retouch.imaging.images import fit
from retouch.util.content_cache import Cache, key_of

SEEN_BYTES = 64 << 20  # of photos' tokens
VISION = "vision"
LANGUAGE = "language"
TOKENIZER = "tokenizer.json"


class TextEncoder:
    """`QwenImageEditPipeline.encode_prompt`, or the Plus pipeline's: the settings say whose
    template and sizes. It remembers photos, which a negative instruction is read with again.

    Rotary positions are those the model was trained with, rows and columns for a photo's tokens.
    diffusers 0.42 with transformers 5 numbers them like words (diffusers issue 14194)."""

    def __init__(self, folder: Path, runner: Opener = OnnxRunner, seen_bytes: int = SEEN_BYTES):
        """ArtifactError when an artifact is not what the folder's manifest says."""
        self.seen = Cache(seen_bytes)
        self._vision = runner(folder, VISION)
        self._language = runner(folder, LANGUAGE)
        settings = verify(folder, TOKENIZER).settings
        self._layout = PatchLayout(**settings["patches"])
        self._writer = ChatWriter(
            Path(folder) / TOKENIZER, settings["template"], settings["picture"]
        )
        self._rope = Rope(**settings["rope"])
        self._area = settings["seen_area"]
        self._photos = settings["photos"]
        self._drop = settings["drop"]

    def read(self, instruction: str, photos: list[np.ndarray]) -> dict[str, np.ndarray]:
        """`conditioning` float32 [T, J]; ValueError for no photo or for more than the checkpoint
        takes."""
        if not 1 <= len(photos) <= self._photos:
            raise ValueError(
                f"there are {len(photos)} photos; this checkpoint takes 1 to {self._photos}"
            )
        pixels = [self.prepared(photo) for photo in photos]
        grids = [
            (image.shape[0] // self._layout.cell, image.shape[1] // self._layout.cell)
            for image in pixels
        ]
        prompt = self._writer.write(instruction, grids)
        cos, sin = self._rope.tables(prompt.positions)
        hidden = self._language.run(
            input_ids=prompt.ids[None],
            vision_tokens=np.concatenate([self._see(image) for image in pixels], 1),
            image_index=prompt.image_index[None],
            rope_cos=cos[None],
            rope_sin=sin[None],
        )["hidden"][0]
        return {"conditioning": hidden[self._drop :]}

    def prepared(self, photo: np.ndarray) -> np.ndarray:
        """A photo at the size at which it is seen, uint8."""
        area = fit(photo, dimensions(self._area, *photo.shape[:2]))
        return fit(area, self._layout.size(*area.shape[:2]), Resampling.BICUBIC)

    def _see(self, pixels: np.ndarray) -> np.ndarray:
        inputs = self._layout.inputs(pixels[None])
        return self.seen.get(key_of(pixels), lambda: self._vision.run(**inputs)["vision_tokens"])
