"""Thresholds from scored answers: chosen on one half, certified on the other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from retouch.quality.thresholds.clopper_pearson import CONFIDENCE, upper_bound
from retouch.quality.thresholds.thresholds import (
    ANY,
    FALSE_ALARMS,
    RECALL,
    ClassThresholds,
    FalseAlarms,
    Recall,
    Thresholds,
)

# on the half that chooses, so that the other half is likely to certify the choice
CHOICE_CONFIDENCE = 0.99
LEAST = 20  # spoiled and good answers of a half, for thresholds of their own
DIGITS = 6  # of thresholds


@dataclass(frozen=True)
class Scored:
    """One answer with its evaluator's score, 0 to 1. Answers of one photograph have one `id`, and
    stay in one half."""

    id: str
    lane: str
    operation: str
    score: float
    is_spoiled: bool


class TooFewAnswersError(ValueError):
    """Not even all answers together suffice to choose thresholds."""


def certify(
    answers: Sequence[Scored],
    evaluator: str,
    date: str,
    confidence: float = CONFIDENCE,
    least: int = LEAST,
) -> Thresholds:
    """Thresholds of all answers, of every lane, every operation class and both together that have
    `least` spoiled and good answers in either half. ValueError for scores outside 0 to 1,
    TooFewAnswersError where no class has so many.

    The bounds hold for one class at a time."""
    for answer in answers:
        if not 0 <= answer.score <= 1:
            raise ValueError(f"the score of {answer.id} is {answer.score}; it must be from 0 to 1")
    choosing = [answer for answer in answers if is_for_choice(answer.id)]
    certifying = [answer for answer in answers if not is_for_choice(answer.id)]
    classes = []
    for lane, operation in _class_names(answers):
        halves = [_scores(half, lane, operation) for half in (choosing, certifying)]
        if min(len(scores) for half in halves for scores in half) >= least:
            classes.append(_certified(lane, operation, halves[0], halves[1], confidence))
    if not classes:
        raise TooFewAnswersError(
            f"thresholds need {least} spoiled and {least} good answers in either half"
        )
    return Thresholds(evaluator, date, data_digest(answers), tuple(classes), confidence)


def is_for_choice(name: str) -> bool:
    """Whether answers of this id choose thresholds, by a hash of it; the others certify them."""
    return hashlib.sha256(f"thresholds:{name}".encode()).digest()[0] % 2 == 0


def data_digest(answers: Iterable[Scored]) -> str:
    """SHA-256 of the answers in any order, as 64 hexadecimal digits."""
    lines = sorted(
        json.dumps([one.id, one.lane, one.operation, float(one.score), bool(one.is_spoiled)])
        for one in answers
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def choose(spoiled: np.ndarray, good: np.ndarray) -> tuple[float, float]:
    """`reject_below` and `accept_from` by the scores of spoiled and good answers, [n] and [m].

    Of the spoiled as few as RECALL asks for are accepted, of the good as few as FALSE_ALARMS allows
    are rejected, with CHOICE_CONFIDENCE where there are answers enough for it. Where one threshold
    does both, the two are one and no answer is reviewed."""
    everything = np.unique(np.concatenate([spoiled, good, [0.0, 1.0]]))
    falling = np.sort(spoiled)[::-1]
    rising = np.sort(good)
    # the first that must not be accepted, and the first that must not be rejected
    stopped = falling[_allowed(len(spoiled), 1 - RECALL)]
    passed = rising[_allowed(len(good), FALSE_ALARMS)]
    above = everything[everything > stopped]
    below = everything[everything < passed]
    accept_from = (stopped + above[0]) / 2 if above.size else 1.0
    reject_below = (passed + below[-1]) / 2 if below.size else 0.0
    if accept_from <= reject_below:
        accept_from = reject_below = (accept_from + reject_below) / 2
    return round(float(reject_below), DIGITS), round(float(accept_from), DIGITS)


def _allowed(n: int, share: float) -> int:
    """How many of n answers may be on the wrong side of a threshold, for at most `share` of all."""
    if upper_bound(0, n, CHOICE_CONFIDENCE) > share:
        return min(int(share * n), n - 1)
    few, many = 0, n
    while many - few > 1:
        middle = (few + many) // 2
        if upper_bound(middle, n, CHOICE_CONFIDENCE) > share:
            many = middle
        else:
            few = middle
    return few


def _class_names(answers: Iterable[Scored]) -> list[tuple[str, str]]:
    """All, then the lanes, the operation classes and both together; without a class that has all
    answers of another."""
    lanes = sorted({answer.lane for answer in answers})
    operations = sorted({answer.operation for answer in answers})
    names = [(ANY, ANY)]
    if len(lanes) > 1:
        names += [(lane, ANY) for lane in lanes]
    if len(operations) > 1:
        names += [(ANY, operation) for operation in operations]
    if len(lanes) > 1 and len(operations) > 1:
        names += [(lane, operation) for lane in lanes for operation in operations]
    return names


def _scores(answers: Iterable[Scored], lane: str, operation: str) -> tuple[np.ndarray, np.ndarray]:
    """The scores of a class's spoiled answers and of its good ones."""
    spoiled, good = [], []
    for answer in answers:
        if lane in (ANY, answer.lane) and operation in (ANY, answer.operation):
            (spoiled if answer.is_spoiled else good).append(answer.score)
    return np.array(spoiled, float), np.array(good, float)


def _certified(
    lane: str,
    operation: str,
    choosing: tuple[np.ndarray, np.ndarray],
    certifying: tuple[np.ndarray, np.ndarray],
    confidence: float,
) -> ClassThresholds:
    reject_below, accept_from = choose(*choosing)
    spoiled, good = certifying
    return ClassThresholds(
        lane,
        operation,
        reject_below,
        accept_from,
        Recall(len(spoiled), int(np.sum(spoiled < accept_from)), confidence),
        FalseAlarms(len(good), int(np.sum(good < reject_below)), confidence),
    )
