"""Calibration data of a checkpoint: photos and instructions.

Each line of `calibration/pairs.jsonl` is a JSON object, {"image": a file in the same folder,
"instruction": text}, which `retouch_export.calibrate.pairs` reads."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from retouch.api.errors import RequestError
from retouch.api.limits import MAX_INSTRUCTION
from retouch.imaging import images
from retouch_export.file_modes import make_like_parent, share_file

COUNT = 64  # pairs
SIDE = 1024  # pixels of a photo's longer side
FOLDER = "calibration"
INDEX = "pairs.jsonl"
STAGING = ".calibration.partial"
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif", ".gif", ".heic")
LARGEST = 64 * 2**20  # bytes of a photo's file
INSTRUCTIONS = (
    "make the sky a dramatic sunset",
    "remove the people in the background",
    "turn this photo into a watercolor painting",
    "make it look like winter, with snow",
    "change the background to plain white",
    "add warm evening light",
    "make it black and white",
    "replace the background with a beach",
    "remove the text",
    "turn day into night",
    "make the colors more vivid",
    "add a red hat",
    "turn this into a pencil sketch",
    "blur the background",
    "make the main object blue",
    "add fog in the distance",
    "restore this as an old photo, without scratches",
    "make it look like a film still from the 1970s",
    "change the season to autumn",
    "remove the object on the left",
    "put the subject into a forest",
    "add flowers in the foreground",
    "make the lighting soft and even",
    "turn this into a cartoon",
)


class DataError(ValueError):
    """Calibration data cannot be made. The message says why in one sentence."""


@dataclass
class Written:
    """The written data: counts of pairs and photos, and (name, reason) of skipped files."""

    index: Path
    pairs: int = 0
    photos: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)


def read_instructions(file: Path | None) -> tuple[str, ...]:
    """The lines of a text file that are not empty, or INSTRUCTIONS without a file; DataError."""
    if file is None:
        return INSTRUCTIONS
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise DataError(
            f"{file.name} is no text in UTF-8; give a file with one instruction a line"
        ) from None
    sentences = tuple(line.strip() for line in lines if line.strip())
    if not sentences:
        raise DataError(f"{file.name} holds no instruction; give one a line")
    longest = max(sentences, key=len)
    if len(longest) > MAX_INSTRUCTION:
        raise DataError(
            f"an instruction in {file.name} has {len(longest):,} characters; "
            f"{MAX_INSTRUCTION:,} are allowed"
        )
    return sentences


def write_pairs(
    photos: Path,
    checkpoint: Path,
    instructions: tuple[str, ...],
    count: int = COUNT,
    side: int = SIDE,
    force: bool = False,
) -> Written:
    """Write up to `count` pairs to `checkpoint`/calibration, all or none; DataError."""
    target = checkpoint / FOLDER
    if (target / INDEX).exists() and not force:
        raise DataError(f"{FOLDER}/{INDEX} is there already; --force replaces it")
    written = Written(target / INDEX)
    staging = checkpoint / STAGING
    try:
        shutil.rmtree(staging, ignore_errors=True)
        make_like_parent(staging)
        names = _copy_photos(photos, staging, count, side, written)
        if not names:
            raise DataError(
                f"none of the files in {photos.name} is a photo that can be read; they end in "
                f"{', '.join(SUFFIXES)}"
            )
        rows = _rows(names, instructions, count)
        (staging / INDEX).write_text(
            "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
        )
        for path in staging.iterdir():
            share_file(path, staging)
        shutil.rmtree(target, ignore_errors=True)
        staging.replace(target)
    except OSError as failure:
        raise DataError(f"the calibration data cannot be written: {failure.strerror}") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    written.pairs = len(rows)
    written.photos = len({row["image"] for row in rows})
    return written


def _rows(names: list[str], instructions: tuple[str, ...], count: int) -> list[dict[str, str]]:
    """Distinct pairs: all photos once, then all again with the instructions shifted by one."""
    most = min(count, len(names) * len(instructions))
    return [
        {
            "image": names[number % len(names)],
            "instruction": instructions[(number + number // len(names)) % len(instructions)],
        }
        for number in range(most)
    ]


def _copy_photos(photos: Path, folder: Path, count: int, side: int, written: Written) -> list[str]:
    """Write upright sRGB copies of up to `count` photos to `folder`; returns their file names."""
    names: list[str] = []
    for path in sorted(photos.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        if len(names) == count:
            break
        try:
            content = _upright(path, side)
        except (RequestError, OSError, ValueError) as failure:
            written.skipped.append((path.name, str(failure)))
            continue
        names.append(f"{len(names):04}.png")
        (folder / names[-1]).write_bytes(content)
    return names


def _upright(path: Path, side: int) -> bytes:
    """The photo as PNG with sides of at most `side` pixels; RequestError when it cannot be
    decoded."""
    if path.stat().st_size > LARGEST:
        raise ValueError(f"it has more than {LARGEST // 2**20} MiB")
    photo = Image.fromarray(images.decode(path.read_bytes(), "the photo"))
    photo.thumbnail((side, side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    photo.save(stream, "png")
    return stream.getvalue()
