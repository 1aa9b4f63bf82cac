"""The reliability plot: the parser's confidence against the share of readings that was right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

WIDTH = 440
HEIGHT = 420
LEFT = 60  # of the square of the axes, in pixels
TOP = 30
SIDE = 330
MARKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # on both axes
LARGEST = 12.0  # radius of the fullest bin, in pixels
SMALLEST = 2.5
INK = "#1f5fa8"


def reliability_plot(bins: Sequence[dict[str, float]]) -> str:
    """An SVG document of the bins that `training.understanding.reliability` makes.

    A bin is a circle whose area shows how many sentences it has, with their count beside it. On the
    dashed line the confidence is what it says."""
    lines = [*_axes(), *_curve(bins), *_circles(bins)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">\n'
        + "\n".join(lines)
        + "\n</svg>\n"
    )


def place(confidence: float, right: float) -> tuple[float, float]:
    """Where two shares lie in the picture: x, y in pixels."""
    return LEFT + SIDE * confidence, TOP + SIDE * (1 - right)


def _axes() -> Iterator[str]:
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
    for mark in MARKS:
        x, y = place(mark, mark)
        yield _line((LEFT, y), (LEFT + SIDE, y), 'stroke="#dddddd"')
        yield _line((x, TOP), (x, TOP + SIDE), 'stroke="#dddddd"')
        yield _text(f"{mark:.0%}", LEFT - 6, y + 4, 'text-anchor="end"')
        yield _text(f"{mark:.0%}", x, TOP + SIDE + 16, 'text-anchor="middle"')
    diagonal = 'stroke="#888888" stroke-dasharray="4 4"'
    yield _line(place(0, 0), place(1, 1), diagonal)
    middle = LEFT + SIDE / 2
    yield _text("confidence", middle, TOP + SIDE + 38, 'text-anchor="middle"')
    yield _text("share that was right; beside it the count", LEFT, TOP - 12, "")


def _curve(bins: Sequence[dict[str, float]]) -> Iterator[str]:
    points = [place(row["confidence"], row["right"]) for row in bins]
    for start, end in zip(points, points[1:]):
        yield _line(start, end, f'stroke="{INK}" stroke-width="1.5"')


def _circles(bins: Sequence[dict[str, float]]) -> Iterator[str]:
    most = max((row["count"] for row in bins), default=1)
    for row in bins:
        x, y = place(row["confidence"], row["right"])
        radius = max(SMALLEST, LARGEST * (row["count"] / most) ** 0.5)
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{INK}" opacity="0.7"/>'
        yield _text(f"{row['count']}", x + radius + 3, y + 4, "")


def _line(start: tuple[float, float], end: tuple[float, float], style: str) -> str:
    (x1, y1), (x2, y2) = start, end
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {style}/>'


def _text(text: str, x: float, y: float, style: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{text}</text>'
