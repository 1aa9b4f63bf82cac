"""The drift of an edit: how far its picture has moved as a whole, and how much it has changed where
nothing should.

The shift is found by phase correlation (Kuglin and Hines 1975) of small grey pictures. Their tiles'
cross spectra are summed and divided by both power spectra, as in the smoothed coherence transform
(Carter, Nuttall and Cable 1973). So the height of the peak, 0 to 1, is the mean coherence: how well
one picture explains the other by a shift. The spectrum is weighted by a Gaussian, which makes the
peak one: a parabola through the logarithms of three values gives it below a pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from retouch.api.response import Drift
from retouch.imaging.luma import luma

SIDE = 512  # pixels of the longer side at which pictures are compared
TILE = 128
SMALLEST = 32  # side of a picture: a smaller one has too few frequencies
REACH = 4  # a shift of at most a quarter of a tile is looked for
CUTOFF = 0.12  # cycles a pixel: the Gaussian's width, beyond which an autoencoder keeps little
SUPPORT = 0.7  # of the peak: below it the shift is unknown
LEAST = 0.5  # pixels of the compared pictures: a smaller shift is not undone
CONTRAST = 6.0  # grey levels, their standard deviation: a flatter tile says nothing

Shift = tuple[float, float]  # to the right and down, in pixels
Corner = tuple[int, int]  # top and left of a tile


@dataclass(frozen=True)
class Compared:
    """A source image and its edit, uint8 [h, w, 3] at one small size. `outside` bool [h, w] are the
    pixels that should not change. `scale` is how many pixels of the source image one is."""

    source: np.ndarray
    edited: np.ndarray
    outside: np.ndarray
    scale: tuple[float, float]

    @classmethod
    def of(cls, source: np.ndarray, edited: np.ndarray, editable: np.ndarray) -> Compared:
        """`source` uint8 [H, W, 3] and its mask `editable` bool [H, W]; `edited` of any size."""
        height, width = source.shape[:2]
        side = min(SIDE, max(height, width), max(edited.shape[:2]))
        ratio = side / max(height, width)
        size = max(1, round(height * ratio)), max(1, round(width * ratio))
        outside = np.zeros(size, bool)
        if not editable.all():
            outside = _small(editable.view(np.uint8) * 255, size) == 0
        scale = width / size[1], height / size[0]
        return cls(_small(source, size), _small(edited, size), outside, scale)


def measure(compared: Compared) -> Drift:
    """The shift, None where the pictures do not say, in pixels of the source image. The mean change
    outside of the region, None where the region is everything, in grey levels."""
    shift, support = shift_of(compared)
    right, down = (round(way * scale, 2) + 0.0 for way, scale in zip(shift, compared.scale))
    change = None
    if compared.outside.any():
        moved = np.abs(compared.edited.astype(np.int16) - compared.source)
        change = round(float(moved[compared.outside].mean()), 2)
    return Drift((right, down) if support >= SUPPORT else None, change)


def is_worth_undoing(drift: Drift, compared: Compared) -> bool:
    """Whether the shift is known and larger than LEAST."""
    if drift.shift is None:
        return False
    return max(abs(way) / scale for way, scale in zip(drift.shift, compared.scale)) > LEAST


def shift_of(compared: Compared) -> tuple[Shift, float]:
    """The edit's shift in pixels of the compared pictures, and its support, 0 to 1."""
    if min(compared.outside.shape) < SMALLEST:
        return (0.0, 0.0), 0.0
    source, edited = (luma(pixels) for pixels in (compared.source, compared.edited))
    every, side = _choose_tiles(compared.outside)
    corners = [
        (top, left)
        for top, left in every
        if source[top : top + side, left : left + side].std() >= CONTRAST
    ]
    if not corners:
        return (0.0, 0.0), 0.0
    (right, down), support = _peak(_tiles(source, corners, side), _tiles(edited, corners, side))
    near = round(right), round(down)
    if near == (0, 0):
        return (right, down), support
    # again with tiles that show the same: less is lost at their borders
    moved = [
        (top, left)
        for top, left in corners
        if 0 <= top + near[1] <= source.shape[0] - side
        and 0 <= left + near[0] <= source.shape[1] - side
    ]
    if not moved:
        return (right, down), support
    there = [(top + near[1], left + near[0]) for top, left in moved]
    rest, support = _peak(_tiles(source, moved, side), _tiles(edited, there, side))
    return (near[0] + rest[0], near[1] + rest[1]), support


def fit_back(edited: np.ndarray, shift: Shift, size: tuple[int, int]) -> np.ndarray:
    """The edit uint8 [H, W, 3] at `size` (height, width), moved back by `shift`, in pixels of
    `size`, in one resampling. Its border is repeated where nothing is known."""
    height, width = edited.shape[:2]
    right = shift[0] * width / size[1]
    down = shift[1] * height / size[0]
    margin = math.ceil(max(abs(right), abs(down))) + 1
    wide = np.pad(edited, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    left = margin + right
    top = margin + down
    box = (left, top, left + width, top + height)
    image = Image.fromarray(wide).resize((size[1], size[0]), Image.Resampling.LANCZOS, box)
    return np.asarray(image)


def _small(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The means of pixels at `size` (height, width)."""
    image = Image.fromarray(pixels)
    box = Image.Resampling.BOX
    return np.asarray(image.resize((size[1], size[0]), box, reducing_gap=2.0))


def _choose_tiles(outside: np.ndarray) -> tuple[list[Corner], int]:
    """Corners of the tiles that count, and their side: those outside of the region, smaller ones if
    there are none, and all if there are none of these either."""
    large = min(TILE, *outside.shape)
    for side in (large, large // 2):
        clean = [
            (top, left)
            for top, left in _corners(outside.shape, side)
            if outside[top : top + side, left : left + side].all()
        ]
        if clean:
            return clean, side
    return _corners(outside.shape, large), large


def _corners(size: tuple[int, ...], side: int) -> list[Corner]:
    """Those of tiles that cover a picture of `size` and overlap by a quarter or more."""
    stride = side * 3 // 4
    rows, columns = (
        np.linspace(0, count - side, 1 + -(-(count - side) // stride)).round().astype(int).tolist()
        for count in size
    )
    return [(top, left) for top in rows for left in columns]


def _tiles(grey: np.ndarray, corners: list[Corner], side: int) -> np.ndarray:
    """Windowed tiles [n, side, side] of about equal contrast."""
    tiles = np.stack([grey[top : top + side, left : left + side] for top, left in corners])
    tiles = tiles - tiles.mean((1, 2), keepdims=True)
    return tiles / (tiles.std((1, 2), keepdims=True) + 1) * _window(side)


def _peak(source: np.ndarray, edited: np.ndarray) -> tuple[Shift, float]:
    """The shift (right, down) between tiles [n, side, side], and the height of its peak."""
    side = source.shape[1]
    ours = np.fft.rfft2(source)
    theirs = np.fft.rfft2(edited)
    cross = (theirs * ours.conj()).sum(0)
    power = np.sqrt((np.abs(ours) ** 2).sum(0) * (np.abs(theirs) ** 2).sum(0))
    coherence = cross / np.maximum(power, 1e-9 * power.max() + 1e-12)
    surface = np.fft.irfft2(_weight(side) * coherence, (side, side))
    ways = np.abs(np.fft.fftfreq(side, 1 / side)) <= side // REACH
    reachable = np.where(np.outer(ways, ways), surface, -np.inf)
    down, right = divmod(int(reachable.argmax()), side)
    shift = (
        _signed(right, side) + _vertex(surface[down, [right - 1, right, (right + 1) % side]]),
        _signed(down, side) + _vertex(surface[[down - 1, down, (down + 1) % side], right]),
    )
    return shift, float(surface[down, right])


@lru_cache(maxsize=8)
def _window(side: int) -> np.ndarray:
    """Hann's, [side, side]."""
    window = np.hanning(side + 2)[1:-1]
    return np.outer(window, window)


@lru_cache(maxsize=8)
def _weight(side: int) -> np.ndarray:
    """The Gaussian over frequencies, [side, side // 2 + 1], with a peak of height 1."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    weight = np.exp(-0.5 * (frequency / CUTOFF) ** 2)
    return weight / np.fft.irfft2(weight, (side, side))[0, 0]


def _signed(index: int, side: int) -> int:
    return index - side if index > side // 2 else index


def _vertex(values: np.ndarray) -> float:
    """Where the peak of a Gaussian through three values lies, from its middle one."""
    before, middle, after = np.log(np.maximum(values, 1e-6))
    curvature = before - 2 * middle + after
    return float(0.5 * (before - after) / curvature) if curvature < 0 else 0.0
