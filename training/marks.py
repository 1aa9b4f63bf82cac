"""Marks on photographs: text, a camera's date, scratches and stains.

A function of `DRAW` takes a generator and uint8 pixels [H, W, 3] of any size. It returns a marked
copy and the mark's box: x0, y0, x1, y1 in shares of width and height. The same generator state
draws the same mark, where the same fonts are installed."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from retouch.imaging.luma import luma
from training.operation import Box
from training.render import PALETTE

Marked = tuple[np.ndarray, Box]

DEJAVU = Path("/usr/share/fonts/truetype/dejavu")
DEJAVU_FILES = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf")
SMALLEST_FONT = 8  # pixels
CONTRAST = 90  # least difference of brightness between a text and what it covers, of 255
CAPTIONS = """
hello sale draft happy open menu summer copy love welcome party news photo holiday demo secret
winter music home travel coffee best sample free today family beach peace garden school museum
hotel spring market enjoy memories birthday thanks wow
"""
TEXTS = tuple(CAPTIONS.split())
DATE_FORMS = (
    "{day:02}.{month:02}.{year}",
    "{year} {month:02} {day:02}",
    "{month:02}/{day:02}/{year}",
    "'{short:02} {month} {day}",
    "{day:02}-{month:02}-{short:02}",
)
DATE_COLOURS = ((255, 140, 30), (255, 110, 20), (245, 245, 240))
BROWN = (0.62, 0.45, 0.26)  # what a stain leaves of red, green and blue where it is darkest
FINENESS = 4  # supersampling of scratches


def text(rng: random.Random, pixels: np.ndarray) -> Marked:
    """One or two short words, about a third of the width."""
    height, width = pixels.shape[:2]
    span = rng.uniform(0.26, 0.42) * width
    caption = rng.choice(TEXTS)
    if rng.random() < 0.4:
        caption = f"{caption} {rng.choice(TEXTS)}"
    caption = rng.choice((str, str.upper, str.capitalize))(caption)
    name = rng.choice(_fonts())
    font = _font_of_width(name, caption, span, height / 4)
    if font.size <= SMALLEST_FONT:
        caption = caption.split()[0]
        font = _font_of_width(name, caption, span, height / 4)
    alpha = _lettering(caption, font)
    rows, columns = alpha.shape
    left = rng.randint(0, max(0, width - columns))
    top = rng.randint(0, max(0, height - rows))
    covered = pixels[top : top + rows, left : left + columns]
    return _painted(pixels, alpha, (left, top), _contrasting(rng, covered))


def date(rng: random.Random, pixels: np.ndarray) -> Marked:
    """A date as old cameras print it into a corner, mostly the right one at the bottom."""
    height, width = pixels.shape[:2]
    year = rng.randint(1988, 2024)
    caption = rng.choice(DATE_FORMS).format(
        day=rng.randint(1, 28), month=rng.randint(1, 12), year=year, short=year % 100
    )
    font = _font_of_width(rng.choice(_fonts()), caption, rng.uniform(0.24, 0.4) * width, height / 6)
    alpha = _lettering(caption, font)
    rows, columns = alpha.shape
    margin = round(rng.uniform(0.02, 0.06) * min(height, width))
    corner = rng.choice(("right bottom", "right bottom", "left bottom", "right top", "left top"))
    left = margin if "left" in corner else max(0, width - columns - margin)
    top = margin if "top" in corner else max(0, height - rows - margin)
    return _painted(pixels, alpha, (left, top), rng.choice(DATE_COLOURS))


def scratch(rng: random.Random, pixels: np.ndarray) -> Marked:
    """One to three thin bright curves beside each other."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    columns = max(8, round(rng.uniform(0.25, 0.6) * side))
    rows = max(8, round(rng.uniform(0.25, 0.6) * side))
    canvas = Image.new("L", (columns * FINENESS, rows * FINENESS))
    draw = ImageDraw.Draw(canvas)
    is_rising = rng.random() < 0.5
    for _ in range(rng.randint(1, 3)):
        line = _curve(rng, canvas.size, is_rising)
        thickness = max(1.0, rng.uniform(0.004, 0.009) * side) * FINENESS
        draw.line(line, fill=rng.randint(200, 255), width=round(thickness), joint="curve")
    alpha = np.asarray(canvas.resize((columns, rows), Image.Resampling.BOX))
    left = rng.randint(0, max(0, width - columns))
    top = rng.randint(0, max(0, height - rows))
    brightness = rng.randint(225, 255)
    return _painted(pixels, alpha, (left, top), (brightness, brightness, brightness - 8))


def stain(rng: random.Random, pixels: np.ndarray) -> Marked:
    """A soft brownish blob with a darker rim, as a cup leaves it: it multiplies what it covers."""
    height, width = pixels.shape[:2]
    radius = rng.uniform(0.1, 0.2) * min(height, width)
    reach = math.ceil(radius * 1.4)
    centre_x = rng.uniform(min(reach, width / 2), max(width - reach, width / 2))
    centre_y = rng.uniform(min(reach, height / 2), max(height - reach, height / 2))
    left = max(0, math.floor(centre_x - reach))
    top = max(0, math.floor(centre_y - reach))
    right = min(width, math.ceil(centre_x + reach))
    bottom = min(height, math.ceil(centre_y + reach))
    y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
    distance = np.hypot(x + 0.5 - centre_x, y + 0.5 - centre_y)
    angle = np.arctan2(y + 0.5 - centre_y, x + 0.5 - centre_x)
    border = np.full_like(angle, radius)
    for waves in (2, 3, 5):
        phase = rng.uniform(0, 2 * math.pi)
        border *= 1 + rng.uniform(0, 0.06) * np.cos(waves * angle + phase)
    softness = rng.uniform(0.05, 0.1) * radius + 0.5
    inside = 1 / (1 + np.exp((distance - border) / (softness / 2)))
    rim = np.exp(-(((distance - border + softness) / (1.6 * softness)) ** 2))
    cover = np.clip(rng.uniform(0.35, 0.6) * inside + rng.uniform(0.4, 0.6) * rim, 0, 1)
    cover[cover < 0.02] = 0
    kept = np.clip([share + rng.uniform(-0.06, 0.06) for share in BROWN], 0, 1)
    result = pixels.copy()
    part = result[top:bottom, left:right]
    factor = 1 - cover[..., None] * (1 - kept.astype(np.float32))
    part[:] = np.rint(part * factor).astype(np.uint8)
    return result, _box(cover > 0.08, (left, top), pixels)


DRAW: dict[str, Callable[[random.Random, np.ndarray], Marked]] = {
    "text": text,
    "scratch": scratch,
    "stain": stain,
    "date": date,
}


@lru_cache
def _fonts() -> tuple[str, ...]:
    """Files of DejaVu where it is installed, and "" for Pillow's own font."""
    return ("", *(str(DEJAVU / name) for name in DEJAVU_FILES if (DEJAVU / name).exists()))


@lru_cache(256)
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    if name:
        return ImageFont.truetype(name, size)
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType; install Pillow's own wheel")
    return font


def _font_of_width(name: str, caption: str, width: float, highest: float) -> ImageFont.FreeTypeFont:
    """The font at the size that makes the caption `width` pixels wide, at most `highest` high."""
    ratio = width / _font(name, 100).getlength(caption)
    return _font(name, max(SMALLEST_FONT, int(min(100 * ratio, highest))))


def _lettering(caption: str, font: ImageFont.FreeTypeFont) -> np.ndarray:
    """Alpha of a caption, uint8, cropped to its letters."""
    left, top, right, bottom = font.getbbox(caption)
    canvas = Image.new("L", (math.ceil(right - left) + 2, math.ceil(bottom - top) + 2))
    ImageDraw.Draw(canvas).text((1 - left, 1 - top), caption, fill=255, font=font)
    return np.asarray(canvas.crop(canvas.getbbox()))


def _contrasting(rng: random.Random, covered: np.ndarray) -> tuple[int, int, int]:
    """A colour of the palette that stands out from the pixels that it covers."""
    brightness = float(luma(covered.reshape(-1, 3)).mean()) if covered.size else 128.0
    colours = [
        colour
        for colour in PALETTE.values()
        if abs(float(luma(np.asarray(colour, np.float32))) - brightness) >= CONTRAST
    ]
    return rng.choice(colours)


def _curve(rng: random.Random, size: tuple[int, int], is_rising: bool) -> list[tuple[float, float]]:
    """Points of a quadratic curve from one side of a window to the other, within it."""
    width, height = size
    ends = [rng.uniform(0.03, 0.35) * height, rng.uniform(0.65, 0.97) * height]
    start_y, end_y = reversed(ends) if is_rising else ends
    start_x = rng.uniform(0.03, 0.3) * width
    end_x = rng.uniform(0.7, 0.97) * width
    bend_x = rng.uniform(0.2, 0.8) * width
    bend_y = rng.uniform(0.2, 0.8) * height
    points = []
    for t in np.linspace(0, 1, 40):
        x = (1 - t) ** 2 * start_x + 2 * t * (1 - t) * bend_x + t**2 * end_x
        y = (1 - t) ** 2 * start_y + 2 * t * (1 - t) * bend_y + t**2 * end_y
        points.append((float(x), float(y)))
    return points


def _painted(
    pixels: np.ndarray,
    alpha: np.ndarray,
    corner: tuple[int, int],
    colour: tuple[int, int, int],
) -> Marked:
    """A copy with `colour` laid on by `alpha` at the corner (left, top), and its box."""
    left, top = corner
    result = pixels.copy()
    part = result[top : top + alpha.shape[0], left : left + alpha.shape[1]]
    alpha = alpha[: part.shape[0], : part.shape[1]]
    share = alpha[..., None].astype(np.float32) / 255
    mixed = np.asarray(colour, np.float32) * share + part * (1 - share)
    part[:] = np.rint(mixed).astype(np.uint8)
    return result, _box(alpha > 8, corner, pixels)


def _box(mask: np.ndarray, corner: tuple[int, int], pixels: np.ndarray) -> Box:
    """The box of a mask whose upper left pixel is `corner` (left, top) of the picture."""
    height, width = pixels.shape[:2]
    left, top = corner
    rows = np.flatnonzero(mask.any(1))
    columns = np.flatnonzero(mask.any(0))
    return (
        (left + int(columns[0])) / width,
        (top + int(rows[0])) / height,
        (left + int(columns[-1]) + 1) / width,
        (top + int(rows[-1]) + 1) / height,
    )
