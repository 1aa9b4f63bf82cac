"""Detail of edits that were made of a small picture: PSNR and LPIPS at full size to the exact
target, with DETAIL and without, and the time from bytes to bytes around the networks.

The edits are exact at any size (`benchmarks/photo_edits.py`). In the networks' place stands the
target at the working size, with an error of `--noise` grey levels."""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.photo_edits import EDITS, PhotoEdit, as_bytes, as_floats
from benchmarks.results import save_json
from benchmarks.table import machine
from retouch.api.geometry import CELL
from retouch.imaging import images
from retouch.imaging.detail import Change
from retouch.imaging.drift import Compared, measure
from training.lpips import Lpips

SIDE = 128  # of a square with as many pixels as an edit has
REPEATS = 5
CROP = 1024  # pixels at full size of which LPIPS is taken
QUALITY = 98
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
PARTS = ("decode", "fit to the edit", "drift", "fit the change", "apply", "paste", "encode")


@dataclass(frozen=True)
class Score:
    """One edit of one photo, with DETAIL and enlarged (`_off`): PSNR to the target in decibels,
    LPIPS of the middle at full size, and seconds. `composite` is the share of the enlarged edit."""

    kind: str
    edit: str
    photo: str
    megapixels: float
    noise: float
    psnr: float
    psnr_off: float
    lpips: float
    lpips_off: float
    seconds: float
    seconds_off: float
    composite: float


def photos(folder: Path | None, megapixels: float, count: int) -> Iterator[tuple[str, np.ndarray]]:
    """The first `count` photos of a folder with so many megapixels or more, scaled to these: name
    and uint8 [h, w, 3]. Gradio's example photos at their own size without a folder."""
    paths = sorted((folder or _examples()).rglob("*"))
    for path in paths:
        if path.suffix.lower() not in SUFFIXES or not count:
            continue
        image = Image.open(path)
        scale = math.sqrt(megapixels * 1e6 / (image.width * image.height))
        if image.mode != "RGB" or (folder and scale > 1):
            continue
        size = round(image.width * scale), round(image.height * scale)
        yield path.stem, np.asarray(image if scale > 1 else image.resize(size, 1))
        count -= 1


def _examples() -> Path:
    spec = find_spec("gradio")
    if spec is None or not spec.origin:
        raise SystemExit("name a folder of photos by --photos, or install gradio")
    return Path(spec.origin).parent / "media_assets" / "images"


def working_size(height: int, width: int, side: int) -> tuple[int, int]:
    """Height and width of an edit of as many pixels as a square of `side`, by cells."""
    ratio = math.sqrt(height / width)
    rows, columns = (max(1, round(side * way / CELL)) for way in (ratio, 1 / ratio))
    return rows * CELL, columns * CELL


def scores(
    folder: Path | None, megapixels: Iterable[float], noises: Iterable[float], side: int, count: int
) -> Iterator[Score]:
    lpips = Lpips()
    for size in megapixels:
        for name, photo in photos(folder, size, count):
            for edit in EDITS:
                for noise in noises:
                    yield score(edit, name, photo, noise, side, lpips)


def score(
    edit: PhotoEdit, name: str, photo: np.ndarray, noise: float, side: int, lpips: Lpips
) -> Score:
    pixels = as_floats(photo)
    source = as_bytes(edit.before(pixels))
    target = as_bytes(edit.of(pixels))
    size = source.shape[:2]
    small_size = working_size(*size, side)
    small_source = images.fit(source, small_size)
    edited = with_noise(images.fit(target, small_size), noise)
    begin = time.perf_counter()
    change = Change.of(small_source, edited, np.ones(small_size, bool))
    answer = change.apply(source)
    middle = time.perf_counter()
    enlarged = images.fit(edited, size)
    end = time.perf_counter()
    middle_of_target = _middle(target)
    return Score(
        edit.kind,
        edit.name,
        name,
        round(size[0] * size[1] / 1e6, 1),
        noise,
        psnr(answer, target),
        psnr(enlarged, target),
        lpips(_middle(answer), middle_of_target),
        lpips(_middle(enlarged), middle_of_target),
        middle - begin,
        end - middle,
        change.detail.composite,
    )


def _middle(pixels: np.ndarray) -> np.ndarray:
    """The middle CROP × CROP pixels at most."""
    top, left = (max(0, side - CROP) // 2 for side in pixels.shape[:2])
    return pixels[top : top + CROP, left : left + CROP]


def with_noise(pixels: np.ndarray, levels: float) -> np.ndarray:
    """The picture with an error of that root mean square, smooth over three pixels, as decoders of
    latents make."""
    if not levels:
        return pixels
    height, width, _ = pixels.shape
    rough = np.random.default_rng(0).standard_normal((height + 2, width + 2, 3))
    smooth = sum(
        rough[down : down + height, right : right + width]
        for down in range(3)
        for right in range(3)
    )
    return as_bytes((pixels + smooth / 3 * levels) / 255)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Decibels; 99 for equal pictures."""
    error = float(np.mean(np.subtract(a, b, dtype=np.float32) ** 2))
    return min(99.0, 10 * math.log10(255**2 / error)) if error else 99.0


def parts_of(photo: np.ndarray, edit: PhotoEdit, side: int) -> dict[str, tuple[float, float]]:
    """Medians of wall-clock and processor seconds of every part around the networks, for a JPEG."""
    data = images.encode(photo, "jpeg", QUALITY)
    spent: dict[str, list[tuple[float, float]]] = {part: [] for part in PARTS}
    for _ in range(REPEATS):

        def timed(part: str, work: Callable):
            wall, processor = time.perf_counter(), time.process_time()
            result = work()
            taken = time.perf_counter() - wall, time.process_time() - processor
            spent[part].append(taken)
            return result

        source = timed("decode", lambda: images.decode_photo(data).opaque())
        size = working_size(*source.shape[:2], side)
        small = timed("fit to the edit", lambda: images.fit(source, size))
        edited = as_bytes(edit.of(as_floats(small)))
        editable = np.ones(source.shape[:2], bool)
        timed("drift", lambda: measure(Compared.of(source, edited, editable)))
        change = timed("fit the change", lambda: Change.of(small, edited, np.ones(size, bool)))
        answer = timed("apply", lambda: change.apply(source))
        pasted = timed("paste", lambda: images.paste_back(source, answer, editable, 0))
        timed("encode", lambda: images.encode(pasted, "jpeg", QUALITY))
    return {
        part: (
            statistics.median(wall for wall, _ in taken),
            statistics.median(processor for _, processor in taken),
        )
        for part, taken in spent.items()
    }


def show(results: list[Score]) -> None:
    table = Table(title=f"DETAIL auto and off, to the exact target\n{machine()}")
    for name in ("MP", "error", "edit", "photos", "PSNR", "off", "LPIPS", "off", "s", "off"):
        table.add_column(name)
    table.add_column("enlarged")
    groups: dict[tuple, list[Score]] = {}
    for one in results:
        size = max(1, round(one.megapixels))
        groups.setdefault((size, one.noise, f"{one.kind}: {one.edit}"), []).append(one)
        groups.setdefault((size, one.noise, f"all of {one.kind}"), []).append(one)
    for (size, noise, name), group in sorted(groups.items()):
        table.add_row(
            str(size),
            f"{noise:g}",
            name,
            str(len({one.photo for one in group})),
            f"{_mean(group, 'psnr'):.1f}",
            f"{_mean(group, 'psnr_off'):.1f}",
            f"{_mean(group, 'lpips'):.3f}",
            f"{_mean(group, 'lpips_off'):.3f}",
            f"{_mean(group, 'seconds'):.2f}",
            f"{_mean(group, 'seconds_off'):.2f}",
            f"{_mean(group, 'composite'):.0%}",
        )
    Console(width=150).print(table)


def show_parts(name: str, parts: dict[str, tuple[float, float]]) -> None:
    console = Console(width=150)
    for part, (wall, processor) in parts.items():
        console.print(f"{name}, {part}: {1000 * wall:.0f} ms, processor {1000 * processor:.0f} ms")
    wall, processor = (sum(taken) for taken in zip(*parts.values()))
    console.print(f"{name}, in all: {1000 * wall:.0f} ms, processor {1000 * processor:.0f} ms")


def _mean(group: list[Score], figure: str) -> float:
    return statistics.fmean(getattr(one, figure) for one in group)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detail")
    parser.add_argument("--photos", type=Path, help="a folder; gradio's examples by default")
    parser.add_argument("--megapixels", type=float, nargs="*", default=[1, 4, 12])
    parser.add_argument("--noise", type=float, nargs="*", default=[0, 4], help="grey levels")
    parser.add_argument("--side", type=int, default=SIDE, help="of a square of the edit's pixels")
    parser.add_argument("--count", type=int, default=3, help="photos of every size")
    parser.add_argument("--time", type=float, default=12, help="megapixels of the timed JPEG")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(arguments)
    times = {}
    for _, photo in photos(options.photos, options.time, 1):
        for edit in (EDITS[0], next(edit for edit in EDITS if edit.name == "vignette")):
            times[edit.name] = parts_of(photo, edit, options.side)
            show_parts(edit.name, times[edit.name])
    results = list(
        scores(options.photos, options.megapixels, options.noise, options.side, options.count)
    )
    if results:
        show(results)
    scored = [asdict(one) for one in results]
    save_json(options.json, {"machine": machine(), "times": times, "scores": scored})


if __name__ == "__main__":
    main()
