"""Pixels as Qwen2.5-VL wants them: patches in merge order, the tables of its 2-D rotary embedding,
and the windows that its attention is kept to (numpy only)."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

MEAN = np.array(
    [0.48145466, 0.4578275, 0.40821073], np.float32
)  # of CLIP, as Qwen2VLImageProcessor has them
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
# where a checkpoint says how its images are prepared; the second file has it among a processor's
# other parts
FOLDERS = ("processor", "image_processor")
FILES = ("preprocessor_config.json", "processor_config.json")


@dataclass(frozen=True)
class PatchLayout:
    """How one checkpoint cuts images; sizes in pixels, `head` is the vision tower's head size.

    `window` is the side of a window in pixels, 0 for a tower whose every block attends to the whole
    image. An image is seen with a number of pixels from `smallest` to `largest`."""

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
        """That of a tower with the config `vision`, of transformers' names."""
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
        """With the limits of the image processor in a checkpoint's folder, or the defaults, which
        are Qwen2-VL's; ValueError when it scales colours otherwise than CLIP's."""
        paths = (Path(folder) / name / file for name in FOLDERS for file in FILES)
        said = next((json.loads(path.read_bytes()) for path in paths if path.is_file()), {})
        said = said.get("image_processor", said)
        colours = said.get("image_mean", MEAN), said.get("image_std", STD)
        if not np.allclose(colours, [MEAN, STD]):
            raise ValueError(
                "the checkpoint's image processor has another image_mean or image_std than CLIP's"
            )
        size = said.get("size") or {}
        limits = {
            "smallest": size.get("shortest_edge") or said.get("min_pixels"),
            "largest": size.get("longest_edge") or said.get("max_pixels"),
        }
        return cls.of(vision, **{name: limit for name, limit in limits.items() if limit})

    @property
    def cell(self) -> int:
        """Pixels along one side of what becomes one token."""
        return self.patch * self.merge

    def size(self, height: int, width: int) -> tuple[int, int]:
        """The pixels at which an image is seen: whole cells, as `smart_resize` of transformers'
        Qwen2-VL finds them."""
        cell = self.cell
        area = height * width
        sides = round(height / cell) * cell, round(width / cell) * cell
        if sides[0] * sides[1] > self.largest:
            shrink = math.sqrt(area / self.largest)
            return tuple(
                max(cell, math.floor(side / shrink / cell) * cell) for side in (height, width)
            )
        if sides[0] * sides[1] < self.smallest:
            grow = math.sqrt(self.smallest / area)
            return tuple(math.ceil(side * grow / cell) * cell for side in (height, width))
        return sides

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of tokens of an image seen at that size."""
        return height // self.cell, width // self.cell

    def inputs(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """What the exported vision tower takes for images uint8 [B, H, W, 3] of whole cells, each
        with the batch first.

        P patches in merge order or, with windows, W windows of S patches, padded where the image
        ends: `pixel_values` [B, P, C] or [B, W, S, C], `rope_cos` and `rope_sin` [B, P, head] or
        [B, W, S, head], and with windows `real` bool [B, W, S], which are not padding, and
        `restore` int64 [B, V], where the image's tokens stand in them."""
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
        """Which cells each window holds, int64 [windows, cells of one], −1 beyond the image; as
        `get_vision_window_index` of transformers."""
        side = self.window // self.cell
        rows = height // self.cell
        columns = width // self.cell
        cells = np.full((-(-rows // side) * side, -(-columns // side) * side), -1)
        cells[:rows, :columns] = np.arange(rows * columns).reshape(rows, columns)
        blocks = cells.reshape(len(cells) // side, side, -1, side).transpose(0, 2, 1, 3)
        return blocks.reshape(-1, side * side)

    def patches(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [B, H, W, 3] → float32 [B, H/patch × W/patch, 3 × temporal × patch²], as
        Qwen2VLImageProcessor."""
        batch, height, width, _ = pixels.shape
        scaled = (pixels.astype(np.float32) * np.float32(1 / 255) - MEAN) / STD
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
    """The same for every row of a batch."""
    return np.ascontiguousarray(np.broadcast_to(array, (batch, *array.shape)))
