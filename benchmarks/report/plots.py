"""Plots as SVG: lines over a load, bars with their spread, timelines. They follow the reader's
light or dark theme."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from benchmarks.report.figures import Spread

WIDTH = 640
HEIGHT = 300
LEFT = 52
RIGHT = 16
TOP = 48
BOTTOM = 46
ROW = 20
HEAD = 30
LABELS = 150
STYLE = """
.plot { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif;
  --ink: #1f2933; --mute: #6b7785; --rule: #e3e8ee;
  --c0: #2f6fde; --c1: #e07a1f; --c2: #2a9d6f; --c3: #8a5cd0; --bad: #c8352b; }
@media (prefers-color-scheme: dark) { .plot { --ink: #e6ebf1; --mute: #98a4b3; --rule: #2c3743;
  --c0: #6ea0ff; --c1: #f59d4c; --c2: #4cc495; --c3: #b492f0; --bad: #ff7a6e; } }
.plot text { fill: var(--mute); } .plot .title { fill: var(--ink); font-weight: 600; }
.plot .value { fill: var(--ink); }
.plot .rule { stroke: var(--rule); } .plot .axis { stroke: var(--mute); }
.plot .bad { stroke: var(--bad); stroke-dasharray: 5 4; } .plot text.badword { fill: var(--bad); }
"""
for _number in range(4):
    STYLE += (
        f".plot .s{_number} {{ stroke: var(--c{_number}); fill: none; stroke-width: 2.2; "
        f"stroke-linejoin: round; }} .plot .f{_number} {{ fill: var(--c{_number}); }}\n"
    )


@dataclass(frozen=True)
class Series:
    """A line: points (x, figure), in the colour of its number."""

    label: str
    points: list[tuple[float, Spread]]
    colour: int


@dataclass(frozen=True)
class Bar:
    label: str
    figure: Spread
    colour: int = 0


@dataclass(frozen=True)
class Moments:
    """A row of a timeline: events and their milliseconds; the last one is the end."""

    label: str
    moments: list[tuple[str, Spread]]


def lines(
    title: str,
    series: Sequence[Series],
    x: str,
    y: str,
    mark: tuple[float, str] | None = None,
    doubling: bool = False,
) -> str:
    """`doubling` spaces 1, 2, 4, 8 evenly; `mark` is a level with its label."""
    svg = _paper(title, HEIGHT)
    xs = sorted({at for curve in series for at, _ in curve.points})
    top = max(
        [figure.most for curve in series for _, figure in curve.points]
        + ([mark[0]] if mark else [])
    )
    steps = ticks(top)
    across = math.log2 if doubling else float
    low = across(xs[0]) if doubling else 0.0
    high = across(xs[-1])

    def place(at: float) -> float:
        return LEFT + 12 + (across(at) - low) / ((high - low) or 1) * (WIDTH - LEFT - RIGHT - 24)

    def level(value: float) -> float:
        return HEIGHT - BOTTOM - value / steps[-1] * (HEIGHT - TOP - BOTTOM)

    for step in steps:
        _line(svg, LEFT, level(step), WIDTH - RIGHT, level(step), "rule")
        _text(svg, LEFT - 8, level(step) + 4, _short(step), "end")
    for at in xs:
        _text(svg, place(at), HEIGHT - BOTTOM + 18, _short(at), "middle")
    _text(svg, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x, "middle")
    _text(svg, LEFT - 8, TOP - 16, y, "end")
    if mark:
        _line(svg, LEFT, level(mark[0]), WIDTH - RIGHT, level(mark[0]), "bad")
        _text(svg, WIDTH - RIGHT, level(mark[0]) - 5, mark[1], "end", "badword")
    for curve in series:
        path = " ".join(
            f"{place(at):.1f},{level(figure.median):.1f}" for at, figure in curve.points
        )
        ElementTree.SubElement(svg, "polyline", {"class": f"s{curve.colour}", "points": path})
        for at, figure in curve.points:
            _line(
                svg,
                place(at),
                level(figure.least),
                place(at),
                level(figure.most),
                f"s{curve.colour}",
            )
            dot = ElementTree.SubElement(
                svg,
                "circle",
                {
                    "class": f"f{curve.colour}",
                    "cx": f"{place(at):.1f}",
                    "cy": f"{level(figure.median):.1f}",
                    "r": "3.6",
                },
            )
            ElementTree.SubElement(
                dot, "title"
            ).text = f"{curve.label}, {_short(at)}: {_short(figure.median)} {y}"
    _legend(svg, [(curve.label, curve.colour) for curve in series])
    return ElementTree.tostring(svg, encoding="unicode")


def bars(title: str, rows: Sequence[Bar], unit: str, legend: Sequence[str] = ()) -> str:
    """One bar a row, with its spread as a line across its end. A row without a label belongs to the
    row above. `legend` names the colours."""
    svg = _paper(title, HEAD + sum(_tall(row) for row in rows) + 10)
    long = (WIDTH - LABELS - RIGHT - 90) / max(row.figure.most for row in rows)
    y = float(HEAD)
    for row in rows:
        y += _tall(row) - ROW
        end = LABELS + row.figure.median * long
        _text(svg, LABELS - 10, y + 15, row.label, "end")
        bar = ElementTree.SubElement(
            svg,
            "rect",
            {
                "class": f"f{row.colour}",
                "x": str(LABELS),
                "y": str(y + 4),
                "rx": "3",
                "width": f"{max(1.0, end - LABELS):.1f}",
                "height": str(ROW - 4),
            },
        )
        ElementTree.SubElement(
            bar, "title"
        ).text = f"{row.label}: {_short(row.figure.median)} {unit}"
        _line(
            svg,
            LABELS + row.figure.least * long,
            y + 12,
            LABELS + row.figure.most * long,
            y + 12,
            "axis",
        )
        _text(
            svg,
            max(end, LABELS + row.figure.most * long) + 8,
            y + 15,
            f"{_short(row.figure.median)} {unit}",
            kind="value",
        )
        y += ROW
    _legend(svg, [(label, number) for number, label in enumerate(legend)])
    return ElementTree.tostring(svg, encoding="unicode")


def timeline(title: str, rows: Sequence[Moments]) -> str:
    """Events of an edit, a row a load; a bar behind each dot is its spread."""
    tall = 54
    svg = _paper(title, HEAD + tall * len(rows) + 34)
    steps = ticks(max(figure.most for row in rows for _, figure in row.moments))
    long = (WIDTH - LABELS - RIGHT - 30) / steps[-1]
    foot = HEAD + tall * len(rows) + 4
    for step in steps:
        _line(svg, LABELS + step * long, HEAD, LABELS + step * long, foot, "rule")
        _text(
            svg,
            LABELS + step * long,
            foot + 18,
            _short(step) + (" ms" if step == steps[-1] else ""),
            "middle",
        )
    for number, row in enumerate(rows):
        y = HEAD + number * tall + tall / 2
        _text(svg, LABELS - 10, y + 4, row.label, "end")
        _line(svg, LABELS, y, LABELS + row.moments[-1][1].median * long, y, "axis")
        for which, (label, figure) in enumerate(row.moments):
            colour = 2 if which == len(row.moments) - 1 else 0
            _line(
                svg, LABELS + figure.least * long, y, LABELS + figure.most * long, y, f"s{colour}"
            )
            dot = ElementTree.SubElement(
                svg,
                "circle",
                {
                    "class": f"f{colour}",
                    "cx": f"{LABELS + figure.median * long:.1f}",
                    "cy": str(y),
                    "r": "5.5",
                },
            )
            ElementTree.SubElement(dot, "title").text = f"{label}: {_short(figure.median)} ms"
            _text(
                svg,
                LABELS + figure.median * long,
                y + (20 if which % 2 else -11),
                _short(figure.median),
                "middle",
                "value",
            )
    _legend(svg, [("preview", 0), ("result", 2)])
    return ElementTree.tostring(svg, encoding="unicode")


def ticks(top: float) -> list[float]:
    """Four to seven round steps from 0 to `top` or a little beyond."""
    raw = max(top, 1e-9) / 5
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw * 0.999)
    return [step * number for number in range(math.ceil(top / step * 0.999) + 1)]


# -- strokes ---------------------------------------------------------------------------------------


def _paper(title: str, height: float) -> ElementTree.Element:
    svg = ElementTree.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "class": "plot",
            "viewBox": f"0 0 {WIDTH} {height:g}",
            "role": "img",
            "aria-label": title,
        },
    )
    ElementTree.SubElement(svg, "style").text = STYLE
    _text(svg, 8, 14, title, kind="title")
    return svg


def _line(
    svg: ElementTree.Element, x: float, y: float, to_x: float, to_y: float, kind: str
) -> None:
    ElementTree.SubElement(
        svg,
        "line",
        {
            "class": kind,
            "x1": f"{x:.1f}",
            "y1": f"{y:.1f}",
            "x2": f"{to_x:.1f}",
            "y2": f"{to_y:.1f}",
        },
    )


def _text(
    svg: ElementTree.Element, x: float, y: float, text: str, anchor: str = "start", kind: str = ""
) -> None:
    ElementTree.SubElement(
        svg,
        "text",
        {
            "x": f"{x:.1f}",
            "y": f"{y:.1f}",
            "text-anchor": anchor,
            **({"class": kind} if kind else {}),
        },
    ).text = text


def _legend(svg: ElementTree.Element, entries: Sequence[tuple[str, int]]) -> None:
    """At the upper right, from right to left."""
    x = WIDTH - RIGHT
    for label, colour in reversed(entries):
        x -= 6.6 * len(label)
        _text(svg, x, 14, label)
        ElementTree.SubElement(
            svg,
            "line",
            {
                "class": f"s{colour}",
                "x1": f"{x - 22:.1f}",
                "y1": "10",
                "x2": f"{x - 6:.1f}",
                "y2": "10",
            },
        )
        x -= 38


def _tall(row: Bar) -> float:
    return ROW + (8 if row.label else 0)


def _short(value: float) -> str:
    return (
        f"{value:.0f}"
        if value >= 100 or value == round(value)
        else f"{value:.1f}"
        if value >= 10
        else f"{value:.2g}"
    )
