"""Strengths of methods by comparisons of pairs (Bradley and Terry, 1952), with intervals by
bootstrap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ELO = 400 / math.log(10)  # points for one in the logarithm of the odds
ROUNDS = 10_000
PRECISION = 1e-9  # of the strengths' logarithms
RESAMPLES = 1000
LEVEL = 0.95
TIE = 0.5  # of a win, for each side


@dataclass(frozen=True)
class Outcome:
    """One comparison on an item: the winner is `first`, `second`, or None for a tie."""

    item: str
    first: str
    second: str
    winner: str | None


@dataclass(frozen=True)
class Interval:
    """A value with the bounds that hold it at LEVEL; both are NaN without data."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Of a method with the baseline: its share of wins with ties as halves, and its Elo points
    beyond the baseline's."""

    method: str
    wins: int
    ties: int
    losses: int
    share: Interval
    elo: Interval


def strengths(wins: np.ndarray) -> np.ndarray:
    """Logarithms of strengths [..., methods] by wins of rows over columns [..., methods, methods].

    The first method has 0. Each compared pair gets one tie more, without which a method that never
    lost would have no finite strength. By minorization and maximization (Hunter, 2004)."""
    played = wins + wins.swapaxes(-1, -2)
    smoothed = wins + TIE * (played > 0)
    played = smoothed + smoothed.swapaxes(-1, -2)
    own = smoothed.sum(axis=-1)
    logs = np.zeros(own.shape)
    for _ in range(ROUNDS):
        powers = np.exp(logs)
        total = (played / (powers[..., :, None] + powers[..., None, :])).sum(axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            updated = np.where(total > 0, np.log(own) - np.log(total), 0.0)
        updated = updated - updated[..., :1]
        change = np.abs(updated - logs).max(initial=0.0)
        logs = updated
        if change < PRECISION:
            break
    return logs


def compare(
    methods: Sequence[str], outcomes: Sequence[Outcome], resamples: int = RESAMPLES, seed: int = 0
) -> list[Comparison]:
    """Each method with the first one.

    The bootstrap draws items with all their comparisons, as repeats are not independent."""
    tables = _tables(methods, outcomes)
    total = tables.sum(axis=0)
    draws = _resampled(tables, resamples, seed)
    points = ELO * strengths(total)
    drawn_points = ELO * strengths(draws)
    result = []
    for number, method in enumerate(methods[1:], 1):
        shares = _share(draws[:, number, 0], draws[:, 0, number])
        share = float(_share(total[None, number, 0], total[None, 0, number])[0])
        result.append(
            Comparison(
                method,
                *_counts(outcomes, methods[0], method),
                _interval(share, shares),
                _interval(float(points[number]), drawn_points[:, number]),
            )
        )
    return result


def _tables(methods: Sequence[str], outcomes: Sequence[Outcome]) -> np.ndarray:
    """Wins [items, methods, methods] of rows over columns; a tie is half a win for each."""
    items = {item: number for number, item in enumerate(dict.fromkeys(o.item for o in outcomes))}
    places = {method: number for number, method in enumerate(methods)}
    tables = np.zeros((len(items), len(methods), len(methods)))
    for outcome in outcomes:
        table = tables[items[outcome.item]]
        first, second = places[outcome.first], places[outcome.second]
        if outcome.winner is None:
            table[first, second] += TIE
            table[second, first] += TIE
        elif outcome.winner == outcome.first:
            table[first, second] += 1
        else:
            table[second, first] += 1
    return tables


def _resampled(tables: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Sums [resamples, methods, methods] over items drawn with replacement."""
    count = len(tables)
    if not count:
        return np.zeros((0, *tables.shape[1:]))
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), resamples)
    return np.einsum("ri,iab->rab", drawn, tables)


def _counts(outcomes: Sequence[Outcome], baseline: str, method: str) -> tuple[int, int, int]:
    """Wins, ties and losses of the method against the baseline."""
    winners = [o.winner for o in outcomes if {o.first, o.second} == {baseline, method}]
    return winners.count(method), winners.count(None), winners.count(baseline)


def _share(won: np.ndarray, lost: np.ndarray) -> np.ndarray:
    games = won + lost
    return np.divide(won, games, out=np.full(games.shape, math.nan), where=games > 0)


def _interval(value: float, draws: np.ndarray) -> Interval:
    known = draws[np.isfinite(draws)]
    if not len(known):
        return Interval(value, math.nan, math.nan)
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high))
