"""Two thresholds on a score, fitted to people's feedback on one half of the answers and tested on
the other.

Below `reject` an answer is called bad, from `accept` on it is called good, and what lies between
is for review."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import beta

from retouch_clients.feedback.agreement import FEW, GOOD, Group, scored

RECALL = 0.95  # share of bad answers below `accept`, at least
FALSE_ALARMS = 0.02  # share of good answers below `reject`, at most
CONFIDENCE = 0.95  # one-sided


@dataclass(frozen=True)
class Evidence:
    """A share on answers that the threshold was not fitted to: `count` of `total`, with the
    one-sided Clopper–Pearson bound. `is_certified`: the bound keeps to the aim."""

    count: int
    total: int
    bound: float
    aim: float
    is_certified: bool


@dataclass(frozen=True)
class Thresholds:
    """The proposal of a group; thresholds are None where there are too few labels. `review` is the
    share of the tested answers that lies between them."""

    lane: str
    evaluator: str
    good: int
    bad: int
    reject: float | None = None
    accept: float | None = None
    recall: Evidence | None = None
    false_alarms: Evidence | None = None
    review: float | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def is_certified(self) -> bool:
        tests = (self.recall, self.false_alarms)
        return all(test is not None and test.is_certified for test in tests)


def fitted(group: Group, name: str) -> Thresholds:
    """Thresholds for the evaluator's score `name`."""
    entries = scored(group, name)
    is_good = np.array([entry.score >= GOOD for entry in entries], bool)
    good, bad = int(is_good.sum()), int((~is_good).sum())
    if min(good, bad) < 2 * FEW:
        note = f"{good} good and {bad} bad answers have a score; {2 * FEW} of each needed"
        return Thresholds(group.lane, group.evaluator, good, bad, notes=[note])
    scores = np.array([entry.answer.scores[name] for entry in entries])
    is_fit = _halves([entry.answer.id for entry in entries], is_good)
    reject, accept = _chosen(scores[is_fit], is_good[is_fit])
    tested, is_good = scores[~is_fit], is_good[~is_fit]
    recall = _recall(tested[~is_good] < accept)
    false_alarms = _false_alarms(tested[is_good] < reject)
    notes = []
    if not (recall.is_certified and false_alarms.is_certified):
        notes.append(
            "a point estimate: the bounds do not hold on the half that was kept apart; "
            "about 210 bad and 520 good answers there can show them"
        )
    review = float(((tested >= reject) & (tested < accept)).mean())
    counts = (group.lane, group.evaluator, good, bad)
    return Thresholds(*counts, reject, accept, recall, false_alarms, review, notes)


def lower_bound(count: int, total: int) -> float:
    """The one-sided Clopper–Pearson lower bound of a share."""
    return float(beta.ppf(1 - CONFIDENCE, count, total - count + 1)) if count else 0.0


def upper_bound(count: int, total: int) -> float:
    return float(beta.ppf(CONFIDENCE, count + 1, total - count)) if count < total else 1.0


def _halves(ids: Sequence[str], is_good: np.ndarray) -> np.ndarray:
    """Whether an answer is in the half that thresholds are fitted to: every other one of either
    kind, in an order that depends on the ids alone."""
    order = sorted(range(len(ids)), key=lambda index: hashlib.sha256(ids[index].encode()).digest())
    is_fit = np.zeros(len(ids), bool)
    for kind in (True, False):
        is_fit[[index for index in order if is_good[index] == kind][::2]] = True
    return is_fit


def _chosen(scores: np.ndarray, is_good: np.ndarray) -> tuple[float, float]:
    """The thresholds with the fewest answers between them that keep to both aims here."""
    good, bad = np.sort(scores[is_good]), np.sort(scores[~is_good])
    alarms = _errors(len(good), FALSE_ALARMS)
    missed = _errors(len(bad), 1 - RECALL)
    reject = good[alarms]
    accept = np.nextafter(bad[len(bad) - 1 - missed], np.inf)
    return float(min(reject, accept)), float(accept)


def _errors(total: int, share: float) -> int:
    """How many errors a threshold may make here: half of those whose bound keeps to the share, as
    other answers will differ. With too few answers for a bound, the share itself."""
    allowed = 0
    while upper_bound(allowed + 1, total) <= share:
        allowed += 1
    return allowed // 2 if upper_bound(0, total) <= share else int(share * total)


def _recall(is_caught: np.ndarray) -> Evidence:
    count, total = int(is_caught.sum()), len(is_caught)
    bound = lower_bound(count, total)
    return Evidence(count, total, bound, RECALL, bound >= RECALL)


def _false_alarms(is_alarm: np.ndarray) -> Evidence:
    count, total = int(is_alarm.sum()), len(is_alarm)
    bound = upper_bound(count, total)
    return Evidence(count, total, bound, FALSE_ALARMS, bound <= FALSE_ALARMS)
