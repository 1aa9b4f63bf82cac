"""Drawings of scenes: anti-aliased pixels and exact palette labels, from signed distances."""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from retouch.quality.metrics import colour_names

NAMES = ("red", "orange", "yellow", "green", "blue", "purple", "white", "black")
PALETTE = {name: colour_names.COLOURS[name] for name in NAMES}
COLOURS = NAMES
KINDS = ("circle", "square", "triangle", "star", "diamond")
SIZES = ("small", "medium", "large")
RADIUS = {"small": 0.60, "medium": 0.74, "large": 0.88}  # in units of a sixth of the shorter side
PLACES = (
    "top left",
    "top",
    "top right",
    "left",
    "center",
    "right",
    "bottom left",
    "bottom",
    "bottom right",
)
SHADINGS = ("plain", "vertical", "horizontal", "diagonal")
DARKEST = 0.88  # end of a gradient; a palette colour times this is still nearest to itself

_RGB = np.array(list(PALETTE.values()), np.float32)


@dataclass(frozen=True)
class Shape:
    """One shape; `x`, `y` are pixels from the top left corner of the scene."""

    colour: str
    kind: str
    size: str
    x: float
    y: float

    @property
    def name(self) -> str:
        return f"{self.colour} {self.kind}"


@dataclass(frozen=True)
class Scene:
    height: int
    width: int
    background: str
    shading: str
    shapes: tuple[Shape, ...] = field(default=())

    @property
    def unit(self) -> float:
        return min(self.height, self.width) / 6

    def radius(self, shape: Shape) -> float:
        return RADIUS[shape.size] * self.unit

    def anchor(self, place: str) -> tuple[float, float]:
        """Centre (x, y) of one of the nine named places."""
        return anchor(place, self.height, self.width)

    def place(self, shape: Shape) -> str:
        return nearest_place(shape.x, shape.y, self.height, self.width)

    def box(self, shape: Shape) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 as shares of the width and height."""
        r = self.radius(shape)
        return (
            (shape.x - r) / self.width,
            (shape.y - r) / self.height,
            (shape.x + r) / self.width,
            (shape.y + r) / self.height,
        )


@dataclass(frozen=True)
class Drawing:
    """A rendered scene.

    `pixels` are uint8 [H, W, 3]. `labels` uint8 [H, W] are indices into COLOURS. `owners` uint8
    [H, W] are numbers of shapes, counted from 1; 0 is the background. `edges` bool [H, W] are
    blended pixels."""

    pixels: np.ndarray
    labels: np.ndarray
    owners: np.ndarray
    edges: np.ndarray


def anchor(place: str, height: int, width: int) -> tuple[float, float]:
    """Centre (x, y) of one of the nine named places, in pixels."""
    row, column = divmod(PLACES.index(place), 3)
    return width * (2 * column + 1) / 6, height * (2 * row + 1) / 6


def nearest_place(x: float, y: float, height: int, width: int) -> str:
    """The named place whose centre is nearest."""

    def distance(place: str) -> float:
        across, down = anchor(place, height, width)
        return (across - x) ** 2 + (down - y) ** 2

    return min(PLACES, key=distance)


def render(scene: Scene) -> Drawing:
    height = scene.height
    width = scene.width
    pixels = _RGB[COLOURS.index(scene.background)] * _shade(scene.shading, height, width)
    labels = np.full((height, width), COLOURS.index(scene.background), np.uint8)
    owners = np.zeros((height, width), np.uint8)
    edges = np.zeros((height, width), bool)
    for number, shape in enumerate(scene.shapes, start=1):
        r = scene.radius(shape)
        y0 = max(0, int(shape.y - r - 2))
        y1 = min(height, int(shape.y + r + 3))
        x0 = max(0, int(shape.x - r - 2))
        x1 = min(width, int(shape.x + r + 3))
        y = np.arange(y0, y1, dtype=np.float32)[:, None] + np.float32(0.5 - shape.y)
        x = np.arange(x0, x1, dtype=np.float32) + np.float32(0.5 - shape.x)
        distance = distance_to(shape.kind, *np.broadcast_arrays(x, y), r)
        cover = np.clip(0.5 - distance, 0, 1)[..., None]
        colour = COLOURS.index(shape.colour)
        window = pixels[y0:y1, x0:x1]
        pixels[y0:y1, x0:x1] = window + cover * (_RGB[colour] - window)
        labels[y0:y1, x0:x1][distance < 0] = colour
        owners[y0:y1, x0:x1][distance < 0] = number
        edges[y0:y1, x0:x1] |= np.abs(distance) < 0.75
    return Drawing(np.rint(pixels).astype(np.uint8), labels, owners, edges)


def nearest_label(pixels: np.ndarray) -> np.ndarray:
    """Index into COLOURS of the palette colour nearest to each pixel, [H, W, 3] → uint8 [H, W]."""
    distance = ((pixels[..., None, :].astype(np.float32) - _RGB) ** 2).sum(-1)
    return distance.argmin(-1).astype(np.uint8)


@lru_cache
def _shade(shading: str, height: int, width: int) -> np.ndarray:
    """Brightness [H, W, 1] of a background."""
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(0, 1, width, dtype=np.float32)[None]
    ramp = {
        "plain": 0 * (x + y),
        "vertical": y + 0 * x,
        "horizontal": x + 0 * y,
        "diagonal": (x + y) / 2,
    }[shading]
    return (1 - (1 - DARKEST) * ramp)[..., None]


def _outline(kind: str, r: float) -> np.ndarray:
    """Corners [n, 2] as (x, y) from the centre, in pixels."""
    if kind == "triangle":
        return r * np.array([(0, -1), (0.95, 0.8), (-0.95, 0.8)], np.float32)
    if kind == "diamond":
        return r * np.array([(0, -1), (0.75, 0), (0, 1), (-0.75, 0)], np.float32)
    angles = np.arange(10) * np.pi / 5
    reach = np.where(np.arange(10) % 2, 0.5, 1.0) * r
    return np.stack([reach * np.sin(angles), -reach * np.cos(angles)], -1).astype(np.float32)


def distance_to(kind: str, x: np.ndarray, y: np.ndarray, r: float) -> np.ndarray:
    """Signed distance in pixels to the shape's outline, negative inside."""
    if kind == "circle":
        return np.hypot(x, y) - r
    if kind == "square":
        beyond = np.stack([np.abs(x), np.abs(y)]) - np.float32(0.85 * r)
        return np.hypot(*beyond.clip(0)) + beyond.max(0).clip(max=0)
    a = _outline(kind, np.float32(r))
    b = np.roll(a, -1, 0)
    px = x[..., None] - a[:, 0]
    py = y[..., None] - a[:, 1]
    ex, ey = (b - a).T
    along = np.clip((px * ex + py * ey) / (ex * ex + ey * ey), 0, 1)
    distance = np.hypot(px - along * ex, py - along * ey).min(-1)
    crosses = (a[:, 1] > y[..., None]) != (b[:, 1] > y[..., None])
    ey_safe = np.where(ey == 0, 1, ey)
    inside = (crosses & (px < ex * py / ey_safe)).sum(-1) % 2 == 1
    return np.where(inside, -distance, distance)
