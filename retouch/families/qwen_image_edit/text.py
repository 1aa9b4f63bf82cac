"""Qwen-Image-Edit's text encoder, a Qwen2.5-VL: it sees the photos and the instruction, and its
last hidden states are the prompt embeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL.Image import Resampling

from retouch.artifacts.manifest import verify
from retouch.backends.base import BackendFactory
from retouch.backends.batches import run_rows
from retouch.backends.onnx import OnnxBackend
from retouch.families.qwen_image_edit.sampling import dimensions
from retouch.families.qwen_vl.chat import ChatWriter
from retouch.families.qwen_vl.patches import PatchLayout
from retouch.families.qwen_vl.rope import Rope
from retouch.imaging.images import fit
from retouch.util.content_cache import Cache, key_of

IMAGE_BYTES = 64 << 20  # of cached tokens of photos
VISION = "vision"
LANGUAGE = "language"
TOKENIZER = "tokenizer.json"


class TextEncoder:
    """As `QwenImageEditPipeline.encode_prompt`, or the Plus pipeline's: the settings have the
    template and the sizes. Photos' tokens are cached; a negative instruction uses them again.

    Rotary positions are those the model was trained with: rows and columns for a photo's tokens.
    diffusers 0.42 with transformers 5 numbers them like text (diffusers issue 14194)."""

    def __init__(
        self, folder: Path, backend: BackendFactory = OnnxBackend, image_bytes: int = IMAGE_BYTES
    ):
        """ArtifactError when an artifact does not match the folder's manifest."""
        self.images = Cache(image_bytes)
        self._vision = backend(folder, VISION)
        self._language = backend(folder, LANGUAGE)
        self.batches = self._language.batches
        self.compiles = self._language.compiles
        settings = verify(folder, TOKENIZER).settings
        self._layout = PatchLayout(**settings["patches"])
        self._writer = ChatWriter(
            Path(folder) / TOKENIZER, settings["template"], settings["picture"]
        )
        self._rope = Rope(**settings["rope"])
        self._area = settings["seen_area"]
        self._photos = settings["photos"]
        self._drop = settings["drop"]

    def encode_text(self, instruction: str, photos: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """`prompt_embeds` float32 [T, J]. `photos` are uint8 [H, W, 3]; ValueError for none, or for
        more than the checkpoint takes."""
        return self.encode_texts([(instruction, [*map(self.prepared, photos)])])[0]

    def encode_texts(
        self, rows: Sequence[tuple[str, Sequence[np.ndarray]]]
    ) -> list[dict[str, np.ndarray]]:
        """`encode_text` of several instructions with their photos as `prepared` makes them."""
        for _, photos in rows:
            self._check(photos)
        tokens = iter(self.encode_images([image for _, images in rows for image in images]))
        inputs = [
            self._inputs(instruction, images, [next(tokens) for _ in images])
            for instruction, images in rows
        ]
        return [
            {"prompt_embeds": outputs["hidden"][0][self._drop :]}
            for outputs in run_rows(self._language, inputs)
        ]

    def _check(self, photos: Sequence[np.ndarray]) -> None:
        if not 1 <= len(photos) <= self._photos:
            raise ValueError(
                f"there are {len(photos)} photos; this checkpoint takes 1 to {self._photos}"
            )

    def _inputs(
        self, instruction: str, pixels: Sequence[np.ndarray], tokens: Sequence[np.ndarray]
    ) -> dict[str, np.ndarray]:
        """The language model's inputs for photos as `prepared` gives them, with their tokens."""
        cell = self._layout.cell
        grids = [(image.shape[0] // cell, image.shape[1] // cell) for image in pixels]
        prompt = self._writer.write(instruction, grids)
        cos, sin = self._rope.tables(prompt.positions)
        return {
            "input_ids": prompt.ids[None],
            "vision_tokens": np.concatenate(tokens, 1),
            "image_index": prompt.image_index[None],
            "rope_cos": cos[None],
            "rope_sin": sin[None],
        }

    def prepared(self, photo: np.ndarray) -> np.ndarray:
        """A photo uint8 [H, W, 3] at the size that the vision tower takes."""
        scaled = fit(photo, dimensions(self._area, *photo.shape[:2]))
        return fit(scaled, self._layout.size(*scaled.shape[:2]), Resampling.BICUBIC)

    def encode_image(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels as `prepared` gives them → vision tokens float32 [1, V, width]."""
        return self.encode_images([pixels])[0]

    def encode_images(self, photos: Sequence[np.ndarray]) -> list[np.ndarray]:
        """`encode_image` of several photos; equal sizes share a run where the backend gains by
        it."""
        keys = [key_of(pixels) for pixels in photos]
        by_key = dict(zip(keys, photos))

        def encode(missing: Sequence[str]) -> list[np.ndarray]:
            rows = [self._layout.inputs(by_key[key][None]) for key in missing]
            return [outputs["vision_tokens"] for outputs in run_rows(self._vision, rows)]

        return self.images.get_all(keys, encode)
