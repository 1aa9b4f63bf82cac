"""Photographs to edit: `python -m training.photos` fetches and prepares them (`make photos`)."""

from __future__ import annotations

import argparse
import random
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from training import photo_credits, photo_list, photo_preparation, stamps
from training.archives import PackageError

SMALLEST_CROP = 0.5  # of the largest crop of the same shape
FINENESS = 1.5  # pixels of the level that is reduced, a pixel of the crop, at least


@dataclass(frozen=True)
class Photo:
    """`pixels` is uint8 [H, W, 3], at most 1,024 pixels long; `original` is the full-size file."""

    name: str
    pixels: np.ndarray
    original: Path

    @cached_property
    def levels(self) -> list[np.ndarray]:
        """The photograph at full, half and quarter size, each the mean of the one before."""
        image = Image.fromarray(self.pixels)
        return [self.pixels, *(np.array(image.reduce(factor)) for factor in (2, 4))]


def load_photos(split: str, folder: Path = photo_list.FOLDER) -> list[Photo]:
    """All photographs of a split ("training" or "held out"), decoded. Raises FileNotFoundError
    where `make photos` has not run."""
    if split not in photo_list.SPLITS:
        raise ValueError(f"no split {split!r}; the splits are {', '.join(photo_list.SPLITS)}")
    names = {record["name"] for record in photo_preparation.read_index(folder)}
    _, entries = photo_list.read_list()
    return [
        Photo(entry.name, _pixels(entry.prepared(folder)), entry.original(folder))
        for entry in entries
        if entry.split == split and entry.name in names
    ]


def crop(rng: random.Random, photo: Photo, size: tuple[int, int]) -> np.ndarray:
    """A random part of the photograph, flipped half of the time, uint8 [height, width, 3] of
    `size` = (height, width). It has at least half the side of the largest part of that shape."""
    height, width = size
    rows, columns = photo.pixels.shape[:2]
    scale = min(rows / height, columns / width) * rng.uniform(SMALLEST_CROP, 1)
    top = rng.uniform(0, rows - height * scale)
    left = rng.uniform(0, columns - width * scale)
    level = sum(scale >= factor * FINENESS for factor in (2, 4))
    source = photo.levels[level]
    share = source.shape[0] / rows
    first_row = int(top * share)
    first_column = int(left * share)
    part = source[
        first_row : first_row + max(1, round(height * scale * share)),
        first_column : first_column + max(1, round(width * scale * share)),
    ]
    image = Image.fromarray(np.ascontiguousarray(part))
    result = np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))
    is_flipped = rng.random() < 0.5
    return np.ascontiguousarray(result[:, ::-1]) if is_flipped else result.copy()


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--folder", type=Path, default=photo_list.FOLDER)
    cli.add_argument(
        "--credits", action="store_true", help="write training/PHOTOS.md from the index and stop"
    )
    arguments = cli.parse_args()
    folder = arguments.folder.resolve()
    if arguments.credits:
        photo_credits.write(photo_preparation.read_index(folder))
        return
    errors = photo_preparation.prepare(*photo_list.read_list(), folder)
    try:
        stamps.prepare(folder)
    except PackageError as error:
        errors.append(str(error))
    records = photo_preparation.read_index(folder)
    held_out = sum(record["split"] == photo_list.HELD_OUT for record in records)
    print(f"{len(records)} photographs are in {folder}, {held_out} of them held out")
    if errors:
        sys.exit("\n".join(["Incomplete:", *errors]))


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


if __name__ == "__main__":
    main()
