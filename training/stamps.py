"""Named cut-outs to paste on photographs, from Debian's tuxpaint-stamps-default.

A kind with several files is drawn in all of them in training; no file is held out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from training.archives import Package, PackageError, members
from training.photo_list import FOLDER

PACKAGE = Package("tuxpaint-stamps-default", "debian")
STAMPS = "usr/share/tuxpaint/stamps/"  # folder in the package
KINDS_FILE = Path(__file__).with_name("kinds.json")
LONG_SIDE = 512  # larger files are reduced when they are read
CLEAR = 8  # alpha below which a border is cut off


@dataclass(frozen=True)
class Stamp:
    """`rgba` is uint8 [H, W, 4], cropped to what is not transparent."""

    kind: str
    rgba: np.ndarray

    @cached_property
    def weighted(self) -> Image.Image:
        """The cut-out with colours multiplied by alpha."""
        return Image.fromarray(self.rgba).convert("RGBa")


@cache
def load_kinds(wave: int | None = None) -> dict[str, dict]:
    """Files and nouns by kind, of all waves or of those up to `wave`. "en" and "zh" list nouns, the
    usual one first; "de", "fr" and "es" hold the article and the noun. French articles are "le" or
    "la" before a vowel or h too, so that the gender is known. "de_accusative" is the noun of weak
    declension ("den Bären")."""
    kinds = json.loads(KINDS_FILE.read_text())
    return {kind: entry for kind, entry in kinds.items() if wave is None or entry["wave"] <= wave}


def load_stamps(wave: int | None = None, folder: Path = FOLDER) -> dict[str, list[Stamp]]:
    """The cut-outs of every kind. Raises FileNotFoundError where `make photos` has not run."""
    stamps = {}
    for kind, entry in load_kinds(wave).items():
        paths = [folder / "stamps" / file for file in entry["files"]]
        if not all(path.exists() for path in paths):
            raise FileNotFoundError(f"no cut-out of {kind} in {folder}; run `make photos`")
        stamps[kind] = [read_stamp(kind, path) for path in paths]
    return stamps


def read_stamp(kind: str, path: Path) -> Stamp:
    with Image.open(path) as image:
        pixels = np.array(image.convert("RGBA"))
    visible = pixels[..., 3] >= CLEAR
    rows = np.flatnonzero(visible.any(1))
    columns = np.flatnonzero(visible.any(0))
    pixels = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
    if max(pixels.shape[:2]) > LONG_SIDE:
        pixels = fit(Stamp(kind, pixels), LONG_SIDE)
    return Stamp(kind, pixels)


def fit(stamp: Stamp, side: int) -> np.ndarray:
    """The cut-out with a longest side of `side` pixels, uint8 [h, w, 4]. Colours are weighted by
    alpha, so that what is transparent does not bleed into the border."""
    height, width = stamp.rgba.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    resized = stamp.weighted.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    return np.array(resized.convert("RGBA"))


def paste(pixels: np.ndarray, rgba: np.ndarray, centre: tuple[float, float]) -> np.ndarray:
    """A copy of `pixels` (uint8 [H, W, 3]) with the cut-out composited on it. `centre` is x, y in
    pixels; what lies outside the picture is left out."""
    height, width = rgba.shape[:2]
    left = round(centre[0] - width / 2)
    top = round(centre[1] - height / 2)
    rows = slice(max(top, 0), min(top + height, pixels.shape[0]))
    columns = slice(max(left, 0), min(left + width, pixels.shape[1]))
    result = pixels.copy()
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return result
    part = rgba[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    alpha = part[..., 3:].astype(np.float32) / 255
    under = pixels[rows, columns].astype(np.float32)
    mixed = part[..., :3] * alpha + under * (1 - alpha)
    result[rows, columns] = np.rint(mixed).astype(np.uint8)
    return result


def prepare(folder: Path) -> None:
    """Write the files of all kinds into `folder`/stamps. Raises PackageError where one is
    missing."""
    files = {file for entry in load_kinds().values() for file in entry["files"]}
    missing = {file for file in files if not (folder / "stamps" / file).exists()}
    if not missing:
        return
    paths = {STAMPS + file for file in missing}
    for path, content in members(PACKAGE, paths, folder / "archives"):
        target = folder / "stamps" / path.removeprefix(STAMPS)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        missing.discard(path.removeprefix(STAMPS))
    if missing:
        raise PackageError(f"The package {PACKAGE.name} has no {', '.join(sorted(missing))}.")
