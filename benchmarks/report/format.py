"""Formats figures: the median of the runs, and the smallest and largest in brackets where they
differ."""

from __future__ import annotations

from benchmarks.report.figures import Spread

NONE = "–"


def spread(figure: Spread | None, form: str) -> str:
    if figure is None:
        return NONE
    median, least, most = (
        format(value, form) for value in (figure.median, figure.least, figure.most)
    )
    return median if least == most else f"{median} ({least}–{most})"


def ms(figure: Spread | None) -> str:
    return spread(figure, ".0f" if figure and figure.median >= 100 else ".1f")


def one(figure: Spread | None) -> str:
    return spread(figure, ".1f")


def share(figure: Spread | None) -> str:
    return spread(figure, ".0%")
