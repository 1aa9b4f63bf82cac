"""The reliability plot of a lane: scores against the share of answers that people call good."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from retouch_clients.feedback.agreement import Agreement, Bin

SIDE = 260  # of the square of the axes, in pixels
LEFT = 52
TOP = 30
WIDTH = LEFT + SIDE + 48
HEIGHT = TOP + SIDE + 44
MARKS = (0.0, 0.25, 0.5, 0.75, 1.0)  # on both axes
LARGEST = 10.0  # radius of the fullest bin, in pixels
SMALLEST = 2.5
INK = "#1f5fa8"
CURVE = "#b45309"


def reliability_svg(agreement: Agreement) -> str:
    """A picture of the bins and of the fitted calibration, with a text for screen readers."""
    lines = [*_axes(), *_calibration(agreement.calibration), *_circles(agreement.bins)]
    title = f"{agreement.lane}: evaluator's score and share of good answers"
    label = escape(f"{title}, {agreement.labels} answers", quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="11" role="img" '
        f'aria-label="{label}">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n'
        f'<text x="{LEFT}" y="16">{escape(title)}</text>\n' + "\n".join(lines) + "\n</svg>\n"
    )


def _place(score: float, good: float) -> tuple[float, float]:
    return LEFT + SIDE * score, TOP + SIDE * (1 - good)


def _axes() -> Iterator[str]:
    for mark in MARKS:
        x, y = _place(mark, mark)
        yield _line([(LEFT, y), (LEFT + SIDE, y)], "#dddddd")
        yield _line([(x, TOP), (x, TOP + SIDE)], "#dddddd")
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{mark:.0%}</text>'
        yield f'<text x="{x:.1f}" y="{TOP + SIDE + 16}" text-anchor="middle">{mark:g}</text>'
    yield _line([_place(0, 0), _place(1, 1)], "#888888", ' stroke-dasharray="4 4"')
    middle = LEFT + SIDE / 2
    yield f'<text x="{middle}" y="{TOP + SIDE + 34}" text-anchor="middle">evaluator’s score</text>'


def _calibration(curve: Sequence[tuple[float, float]]) -> Iterator[str]:
    points = [_place(min(max(score, 0.0), 1.0), good) for score, good in curve]
    if points:
        yield _line(points, CURVE, ' stroke-width="1.5"')


def _circles(bins: Sequence[Bin]) -> Iterator[str]:
    """A circle a bin, whose area shows its count."""
    most = max((entry.count for entry in bins), default=1)
    for entry in bins:
        x, y = _place(entry.score, entry.good)
        radius = max(SMALLEST, LARGEST * (entry.count / most) ** 0.5)
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{INK}" opacity="0.7"/>'
        yield f'<text x="{x + radius + 3:.1f}" y="{y + 4:.1f}">{entry.count}</text>'


def _line(points: Sequence[tuple[float, float]], colour: str, style: str = "") -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}"{style}/>'
