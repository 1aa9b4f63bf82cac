"""Percents in sentences, and the amounts that they stand for."""

from __future__ import annotations

from random import Random

from training.vocabulary import NONE

LARGEST_SLIGHT = 25  # percent
LARGEST_USUAL = 60
LARGEST = 300
_SLIGHT = (1, 2, 3, 5, 5, 8, 10, 10, 10, 12, 15, 15, 20, 20, 20, 25, 25)
_USUAL = (30, 30, 30, 33, 35, 40, 40, 40, 45, 50, 50, 50, 55, 60)
_STRONG = (65, 70, 70, 75, 75, 80, 80, 80, 85, 90, 90, 95, 99, 100, 100, 120, 150, 200, 300)


def amount_of(percent: int) -> str:
    """The amount that a percent stands for: slight, NONE (the usual one) or strong."""
    if percent <= LARGEST_SLIGHT:
        return "slight"
    return NONE if percent <= LARGEST_USUAL else "strong"


def draw_percent(rng: Random, amount: str) -> int:
    """A percent that stands for an amount; round numbers are frequent."""
    if rng.random() < 0.7:
        numbers = {"slight": _SLIGHT, NONE: _USUAL, "strong": _STRONG}[amount]
        return numbers[int(rng.random() * len(numbers))]
    first, last = {
        "slight": (1, LARGEST_SLIGHT),
        NONE: (LARGEST_SLIGHT + 1, LARGEST_USUAL),
        "strong": (LARGEST_USUAL + 1, LARGEST),
    }[amount]
    if amount == "strong" and rng.random() < 0.8:
        last = 100
    return rng.randint(first, last)
