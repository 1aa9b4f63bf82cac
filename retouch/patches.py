"""Pixels as Qwen2.5-VL wants them: patches in merge order, and the tables of its 2-D rotary embedding (numpy only)."""

from dataclasses import dataclass

import numpy as np

MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)  # of CLIP, as Qwen2VLImageProcessor has them
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)


@dataclass(frozen=True)
class PatchLayout:
    """How one checkpoint cuts images; sizes in pixels, `head` is the vision tower's head size."""

    patch: int = 8
    merge: int = 2
    temporal: int = 2
    head: int = 32
    theta: float = 10000.0

    def patches(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [B, H, W, 3] → float32 [B, H/patch × W/patch, 3 × temporal × patch²], as Qwen2VLImageProcessor."""
        batch, height, width, _ = pixels.shape
        scaled = (pixels.astype(np.float32) * np.float32(1 / 255) - MEAN) / STD
        rows, columns, p, m = height // self.patch, width // self.patch, self.patch, self.merge
        blocks = scaled.transpose(0, 3, 1, 2).reshape(batch, 3, rows // m, m, p, columns // m, m, p)
        blocks = blocks.transpose(0, 2, 5, 3, 6, 1, 4, 7)[:, :, :, :, :, :, None]
        blocks = np.broadcast_to(blocks, (*blocks.shape[:6], self.temporal, p, p))
        return np.ascontiguousarray(blocks.reshape(batch, rows * columns, -1))

    def rope(self, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Cosines and sines float32 [patches, head], rows and columns of each patch in merge order."""
        rows, columns, m = height // self.patch, width // self.patch, self.merge
        y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
        order = [axis.reshape(rows // m, m, columns // m, m).transpose(0, 2, 1, 3).reshape(-1) for axis in (y, x)]
        half = self.head // 2
        frequency = 1.0 / self.theta ** (np.arange(0, half, 2, dtype=np.float32) / half)
        angles = np.concatenate([axis[:, None].astype(np.float32) * frequency for axis in order], -1)
        angles = np.concatenate([angles, angles], -1)
        return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
