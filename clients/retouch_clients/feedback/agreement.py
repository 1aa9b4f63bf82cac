"""How an evaluator's scores agree with people's feedback, for the answers of one lane."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import spearmanr
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.model_selection import KFold

from retouch_clients.feedback.records import Labelled

GOOD = 0.5  # people's scores from here on are good
FEW = 10  # of good or of bad labels: below, there is no AUC
FEW_PAIRS = 20  # labels: below, there is no correlation
FEW_CALIBRATION = 200  # labels: below, no calibration is fitted
BINS = 10
FOLDS = 5
Z = 1.96  # of a 95 % interval


@dataclass(frozen=True)
class Interval:
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Bin:
    """Answers of similar scores: their mean score, the share that people call good, and count."""

    score: float
    good: float
    count: int


@dataclass(frozen=True)
class Group:
    """Labelled answers that are compared: of one lane, by one version of the evaluator."""

    lane: str
    evaluator: str
    labelled: Sequence[Labelled]


@dataclass(frozen=True)
class Agreement:
    """The figures of a group. What has too few labels is None, and `notes` say so.

    `feedback` counts all labels, `labels` those of answers with a score. `brier` is the mean
    squared error of scores as probabilities, and after isotonic calibration on other folds.
    `calibration` are pairs of a score and the share of good answers that is expected there."""

    lane: str
    evaluator: str
    feedback: int
    mean: float
    labels: int
    good: int
    auc: Interval | None = None
    spearman: float | None = None
    spearman_p: float | None = None
    bins: list[Bin] = field(default_factory=list)
    brier: float | None = None
    brier_calibrated: float | None = None
    calibration: list[tuple[float, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def bad(self) -> int:
        return self.labels - self.good


def groups(labelled: Sequence[Labelled]) -> list[Group]:
    """The answers by lane and version of the evaluator."""
    by_key: dict[tuple[str, str], list[Labelled]] = {}
    for entry in labelled:
        evaluator = entry.answer.versions.get("evaluator", "")
        by_key.setdefault((entry.answer.lane, evaluator), []).append(entry)
    return [Group(*key, by_key[key]) for key in sorted(by_key)]


def scored(group: Group, name: str) -> list[Labelled]:
    """The answers that have the evaluator's score of this name."""
    return [
        entry for entry in group.labelled if math.isfinite(entry.answer.scores.get(name, math.nan))
    ]


def agreement(group: Group, name: str) -> Agreement:
    """The figures of a group for the evaluator's score `name`."""
    entries = scored(group, name)
    scores = np.array([entry.answer.scores[name] for entry in entries])
    people = np.array([entry.score for entry in entries])
    is_good = people >= GOOD
    notes: list[str] = []
    spearman, p = _spearman(scores, people, notes)
    brier, brier_calibrated, curve = _calibration(scores, is_good, notes)
    return Agreement(
        group.lane,
        group.evaluator,
        len(group.labelled),
        float(np.mean([entry.score for entry in group.labelled])),
        len(scores),
        int(is_good.sum()),
        _auc(scores, is_good, notes),
        spearman,
        p,
        _bins(scores, is_good),
        brier,
        brier_calibrated,
        curve,
        notes,
    )


def _auc(scores: np.ndarray, is_good: np.ndarray, notes: list[str]) -> Interval | None:
    """The AUC with the interval of Hanley and McNeil."""
    good = int(is_good.sum())
    bad = len(is_good) - good
    if min(good, bad) < FEW:
        notes.append(f"AUC: {good} good and {bad} bad answers have a score; {FEW} of each needed")
        return None
    auc = float(roc_auc_score(is_good, scores))
    pairs = (good - 1) * (auc / (2 - auc) - auc**2) + (bad - 1) * (2 * auc**2 / (1 + auc) - auc**2)
    spread = Z * math.sqrt(max(0.0, auc * (1 - auc) + pairs) / (good * bad))
    return Interval(auc, max(0.0, auc - spread), min(1.0, auc + spread))


def _spearman(
    scores: np.ndarray, people: np.ndarray, notes: list[str]
) -> tuple[float | None, float | None]:
    if len(scores) < FEW_PAIRS:
        notes.append(f"Spearman: {len(scores)} answers have a score; {FEW_PAIRS} needed")
        return None, None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a constant input
        rho, p = map(float, spearmanr(scores, people))
    if math.isnan(rho):
        notes.append("Spearman: all scores or all feedback are equal")
        return None, None
    return rho, p


def _calibration(
    scores: np.ndarray, is_good: np.ndarray, notes: list[str]
) -> tuple[float | None, float | None, list[tuple[float, float]]]:
    """Brier scores before and after calibration, and the calibration's curve."""
    if len(scores) < FEW_CALIBRATION or len(set(is_good.tolist())) < 2:
        notes.append(
            f"calibration: {len(scores)} answers have a score; "
            f"{FEW_CALIBRATION} of both kinds needed"
        )
        return None, None, []
    predicted = np.empty(len(scores))
    for train, test in KFold(FOLDS, shuffle=True, random_state=0).split(scores):
        predicted[test] = _fitted(scores[train], is_good[train]).predict(scores[test])
    whole = _fitted(scores, is_good)
    curve = list(zip(whole.X_thresholds_.tolist(), whole.y_thresholds_.tolist()))
    before = brier_score_loss(is_good, scores) if _are_shares(scores) else None
    if before is None:
        notes.append("Brier score: the scores are not from 0 to 1")
    return before, float(brier_score_loss(is_good, predicted)), curve


def _fitted(scores: np.ndarray, is_good: np.ndarray) -> IsotonicRegression:
    fit = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    return fit.fit(scores, is_good.astype(float))


def _bins(scores: np.ndarray, is_good: np.ndarray) -> list[Bin]:
    """Bins of equal width; none for scores that are no shares."""
    if not len(scores) or not _are_shares(scores):
        return []
    index = np.minimum((scores * BINS).astype(int), BINS - 1)
    return [
        Bin(
            float(scores[index == number].mean()),
            float(is_good[index == number].mean()),
            int((index == number).sum()),
        )
        for number in np.unique(index)
    ]


def _are_shares(scores: np.ndarray) -> bool:
    return bool(scores.min() >= 0 and scores.max() <= 1)
