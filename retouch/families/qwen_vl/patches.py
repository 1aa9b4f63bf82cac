"""Pixels as Qwen2.5-VL takes them: patches in merge order, the tables of its 2-D rotary embedding,
and the windows of its attention. numpy only."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

# of CLIP, as Qwen2VLImageProcessor has them
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
# a checkpoint's settings of its image processor; the second file has other parts of a processor too
FOLDERS = ("processor", "image_processor")
FILES = ("preprocessor_config.json", "processor_config.json")


@dataclass(frozen=True)
class PatchLayout:
    """How one checkpoint cuts images into patches.

    `patch` and `window` are sides in pixels; `window` 0 means that all blocks attend to the whole
    image. `merge` is the side of a token in patches, `temporal` the frames of a patch. `head` is
    the vision tower's head size. Images have from `smallest` to `largest` pixels. Colours are
    scaled by `mean` and `std`."""

    mean: ClassVar[tuple[float, ...]] = MEAN
    std: ClassVar[tuple[float, ...]] = STD
    colours: ClassVar[str] = "CLIP's"

    patch: int = 8
    merge: int = 2
    temporal: int = 2
    head: int = 32
    theta: float = 10000.0
    window: int = 0
    smallest: int = 56 * 56
    largest: int = 28 * 28 * 1280

    @classmethod
    def of(cls, vision: dict[str, Any], **limits: int) -> PatchLayout:
        """The layout of a tower with transformers' config `vision`."""
        windowed = len(vision["fullatt_block_indexes"]) < vision["depth"]
        return cls(
            vision["patch_size"],
            vision["spatial_merge_size"],
            vision["temporal_patch_size"],
            vision["hidden_size"] // vision["num_heads"],
            window=vision["window_size"] if windowed else 0,
            **limits,
        )

    @classmethod
    def of_checkpoint(cls, vision: dict[str, Any], folder: Path) -> PatchLayout:
        """With the limits of the image processor in a checkpoint's folder, or Qwen2-VL's defaults;
        ValueError when it scales colours otherwise."""
        paths = (Path(folder) / name / file for name in FOLDERS for file in FILES)
        config = next((json.loads(path.read_bytes()) for path in paths if path.is_file()), {})
        config = config.get("image_processor", config)
        colours = config.get("image_mean", cls.mean), config.get("image_std", cls.std)
        if not np.allclose(colours, [cls.mean, cls.std]):
            raise ValueError(
                "the checkpoint's image processor has another image_mean or image_std than "
                f"{cls.colours}"
            )
        size = config.get("size") or {}
        limits = {
            "smallest": size.get("shortest_edge") or config.get("min_pixels"),
            "largest": size.get("longest_edge") or config.get("max_pixels"),
        }
        return cls.of(vision, **{name: limit for name, limit in limits.items() if limit})

    @property
    def cell(self) -> int:
        """The side of a token in pixels."""
        return self.patch * self.merge

    def size(self, height: int, width: int) -> tuple[int, int]:
        """The size in pixels that the vision tower takes an image at: whole cells, as by
        `smart_resize` of transformers' Qwen2-VL."""
        cell = self.cell
        area = height * width
        sides = round(height / cell) * cell, round(width / cell) * cell
        if sides[0] * sides[1] > self.largest:
            shrink = math.sqrt(area / self.largest)
            rows = max(cell, math.floor(height / shrink / cell) * cell)
            columns = max(cell, math.floor(width / shrink / cell) * cell)
            return rows, columns
        if sides[0] * sides[1] < self.smallest:
            grow = math.sqrt(self.smallest / area)
            rows = math.ceil(height * grow / cell) * cell
            columns = math.ceil(width * grow / cell) * cell
            return rows, columns
        return sides

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of tokens of an image of that size in pixels."""
        return height // self.cell, width // self.cell

    def inputs(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """The inputs of the exported vision tower for images uint8 [B, H, W, 3] of whole cells.

        P patches are in merge order. With windows they are W windows of S patches, padded at the
        image's edges. `pixel_values` are [B, P, C] or [B, W, S, C], `rope_cos` and `rope_sin` [B,
        P, head] or [B, W, S, head]. With windows, `real` bool [B, W, S] marks patches that are no
        padding, and `restore` int64 [B, V] has the places of the image's tokens."""
        batch, height, width, _ = pixels.shape
        patches = self.patches(pixels)
        (cos, sin) = self.rope(height, width)
        if not self.window:
            return {
                "pixel_values": patches,
                "rope_cos": _rows(cos, batch),
                "rope_sin": _rows(sin, batch),
            }
        cells = self.windows(height, width)
        real = cells >= 0
        unit = self.merge**2
        order = (np.maximum(cells, 0)[..., None] * unit + np.arange(unit)).reshape(len(cells), -1)
        restore = np.empty(real.sum(), np.int64)
        restore[cells[real]] = np.flatnonzero(real)
        return {
            "pixel_values": patches[:, order],
            "rope_cos": _rows(cos[order], batch),
            "rope_sin": _rows(sin[order], batch),
            "real": _rows(real.repeat(unit, 1), batch),
            "restore": _rows(restore, batch),
        }

    def windows(self, height: int, width: int) -> np.ndarray:
        """The cells of every window, int64 [windows, cells of one], −1 beyond the image; as in
        `get_vision_window_index` of transformers."""
        side = self.window // self.cell
        rows = height // self.cell
        columns = width // self.cell
        cells = np.full((-(-rows // side) * side, -(-columns // side) * side), -1)
        cells[:rows, :columns] = np.arange(rows * columns).reshape(rows, columns)
        blocks = cells.reshape(len(cells) // side, side, -1, side).transpose(0, 2, 1, 3)
        return blocks.reshape(-1, side * side)

    def patches(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels uint8 [B, H, W, 3] → float32 [B, H/patch × W/patch, 3 × temporal × patch²], as by
        Qwen2VLImageProcessor."""
        batch, height, width, _ = pixels.shape
        mean = np.array(self.mean, np.float32)
        std = np.array(self.std, np.float32)
        scaled = (pixels.astype(np.float32) * np.float32(1 / 255) - mean) / std
        rows = height // self.patch
        columns = width // self.patch
        p = self.patch
        m = self.merge
        blocks = scaled.transpose(0, 3, 1, 2).reshape(batch, 3, rows // m, m, p, columns // m, m, p)
        blocks = blocks.transpose(0, 2, 5, 3, 6, 1, 4, 7)[:, :, :, :, :, :, None]
        blocks = np.broadcast_to(blocks, (*blocks.shape[:6], self.temporal, p, p))
        return np.ascontiguousarray(blocks.reshape(batch, rows * columns, -1))

    def rope(self, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Cosines and sines float32 [patches, head], rows and columns of each patch in merge
        order."""
        rows = height // self.patch
        columns = width // self.patch
        m = self.merge
        y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
        order = [
            axis.reshape(rows // m, m, columns // m, m).transpose(0, 2, 1, 3).reshape(-1)
            for axis in (y, x)
        ]
        half = self.head // 2
        frequency = 1.0 / self.theta ** (np.arange(0, half, 2, dtype=np.float32) / half)
        angles = np.concatenate(
            [axis[:, None].astype(np.float32) * frequency for axis in order], -1
        )
        angles = np.concatenate([angles, angles], -1)
        return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def _rows(array: np.ndarray, batch: int) -> np.ndarray:
    """`array` repeated for every row of a batch."""
    return np.ascontiguousarray(np.broadcast_to(array, (batch, *array.shape)))
