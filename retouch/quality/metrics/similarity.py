"""How alike two pictures are in content: the cosine of their features in CLIP or DINO.

CLIP: Radford et al. 2021, the projected image features. DINO: Caron et al. 2021 and Oquab et al.
2023, the class token after the last norm. The weights are a folder's in the layout of transformers;
nothing is fetched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from retouch.util import extras

if TYPE_CHECKING:
    import torch

CLIP = "clip"
DINO = ("vit", "dinov2", "dinov2_with_registers")  # model_type of config.json
LEAST_LENGTH = 1e-12  # of a vector of features


class SimilarityError(RuntimeError):
    """The checkpoint cannot be used. The message is one sentence."""


class Similarity:
    """The cosine of two pictures' features, -1 to 1; 1 for equal pictures."""

    def __init__(self, folder: Path | str):
        """`folder` holds config.json, preprocessor_config.json and weights of CLIP, of DINO's ViT
        or of DINOv2. SimilarityError where it does not, and where transformers is missing."""
        path = Path(folder)
        self.kind = _kind(path)
        self._processor, self._model = _loaded(path, self.kind)

    def __call__(self, first: np.ndarray, second: np.ndarray) -> float:
        """Of two pictures uint8 [H, W, 3], whose sizes may differ."""
        a, b = self.features(first), self.features(second)
        return float(np.clip(a @ b, -1, 1))

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """Of one picture uint8 [H, W, 3], float32 [D] of length 1."""
        import torch

        inputs = self._processor(images=[Image.fromarray(pixels)], return_tensors="pt")
        with torch.inference_mode():
            row = self._raw_features(inputs["pixel_values"])[0].float().numpy()
        return row / max(float(np.linalg.norm(row)), LEAST_LENGTH)

    def _raw_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        if self.kind == CLIP:
            return self._model.get_image_features(pixel_values=pixel_values).pooler_output
        return self._model(pixel_values=pixel_values).last_hidden_state[:, 0]


def _kind(folder: Path) -> str:
    """The `model_type` of a folder's config.json."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text())
    except FileNotFoundError:
        raise SimilarityError(f"{folder} holds no checkpoint: it has no config.json") from None
    except (OSError, ValueError):
        raise SimilarityError(f"{path} cannot be read as JSON") from None
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind not in (CLIP, *DINO):
        allowed = ", ".join((CLIP, *DINO))
        raise SimilarityError(f"model_type of {path} is {kind!r}; it must be one of {allowed}")
    return kind


def _loaded(folder: Path, kind: str) -> tuple[Any, Any]:
    """Image processor and model."""
    try:
        import torch  # noqa: F401
        import transformers
    except ImportError as failure:
        raise SimilarityError(extras.message("torch", failure.name or "transformers")) from None
    # ViT's pooling layer is no part of DINO, and its checkpoints may lack it
    options = {"add_pooling_layer": False} if kind == "vit" else {}
    try:
        processor = transformers.AutoImageProcessor.from_pretrained(folder, local_files_only=True)
        model, report = transformers.AutoModel.from_pretrained(
            folder, local_files_only=True, output_loading_info=True, **options
        )
    except Exception as failure:  # transformers, safetensors and torch raise many kinds
        reason = str(failure).strip().partition("\n")[0]
        raise SimilarityError(f"the checkpoint in {folder} cannot be loaded: {reason}") from None
    absent = sorted(report["missing_keys"])
    if absent:
        raise SimilarityError(f"the checkpoint in {folder} lacks weights, first {absent[0]}")
    return processor, model.eval()
