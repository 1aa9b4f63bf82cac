"""What the log of decisions and people's reviews say of all answers, reviewed or not.

People see a random part of the accepted answers, and more of the stopped ones. Each reviewed answer
stands for 1 / p of its kind, where p is the probability with which it was shown (Hájek's
estimator). Intervals are of the bootstrap over answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from retouch.quality.thresholds.clopper_pearson import CONFIDENCE, interval

REPLICATES = 1000
FEW = 10  # events of a kind, below which the bootstrap's interval is too narrow
LEAST_RATINGS = 5


@dataclass(frozen=True)
class Verdict:
    """What a reviewer says of an answer; `quality` is on a scale of theirs, None without one."""

    is_spoiled: bool
    quality: float | None = None


@dataclass(frozen=True)
class Outcome:
    """One answer: whether it was accepted, and the probability with which it was reviewed. Without
    a review `verdict` is None."""

    is_accepted: bool
    review_probability: float
    verdict: Verdict | None = None


@dataclass(frozen=True)
class Estimate:
    """A value and its interval; `reviewed` answers are behind it."""

    value: float
    low: float
    high: float
    reviewed: int


@dataclass(frozen=True)
class Estimates:
    """Of all answers: the share of spoiled ones that was not accepted, the share of spoiled ones
    among the accepted, and the mean quality of the accepted. None where too few were reviewed."""

    accepted: int
    stopped: int
    recall: Estimate | None
    spoiled_share: Estimate | None
    quality: Estimate | None


def outcomes(
    records: Iterable[Mapping[str, Any]], verdicts: Mapping[str, Verdict]
) -> list[Outcome]:
    """The answers of a decision log, with the verdicts by request id. A verdict of an answer that
    was not drawn for review does not count: who complains is no random sample."""
    final = []
    for record in records:
        if not record.get("final"):
            continue
        probability = sum(p for _, is_for_review, p in record["branches"] if is_for_review)
        verdict = verdicts.get(record["request_id"]) if record["review"] else None
        final.append(Outcome(record["step"] == "accept", probability, verdict))
    return final


def estimate(
    answers: Sequence[Outcome],
    rng: np.random.Generator,
    confidence: float = CONFIDENCE,
    replicates: int = REPLICATES,
) -> Estimates:
    """Estimates over all answers. ValueError for a reviewed answer whose probability is not in (0,
    1]."""
    reviewed = _Reviewed.of(answers)
    counts = reviewed.draw(rng, replicates)
    once = np.ones((1, counts.shape[1]))
    once[:, -2:] = reviewed.unreviewed
    return Estimates(
        int(sum(answer.is_accepted for answer in answers)),
        int(sum(not answer.is_accepted for answer in answers)),
        _recall(reviewed, once, counts, confidence),
        _spoiled_share(reviewed, once, counts, confidence),
        _quality(reviewed, once, counts, confidence),
    )


@dataclass(frozen=True)
class _Reviewed:
    """The reviewed answers as columns [R], and how many others were accepted and stopped, [2].

    Counts of a bootstrap are [B, R + 2]: how often each reviewed answer was drawn, and the others
    of both kinds."""

    is_accepted: np.ndarray
    weight: np.ndarray
    is_spoiled: np.ndarray
    quality: np.ndarray  # NaN where the reviewer gave none
    unreviewed: np.ndarray

    @classmethod
    def of(cls, answers: Sequence[Outcome]) -> _Reviewed:
        seen = [(one, one.verdict) for one in answers if one.verdict is not None]
        for answer, _ in seen:
            if not 0 < answer.review_probability <= 1:
                raise ValueError(
                    f"a reviewed answer has the probability {answer.review_probability}; "
                    "it must be more than 0, and 1 or less"
                )
        others = [one.is_accepted for one in answers if one.verdict is None]
        ratings = [None if verdict is None else verdict.quality for _, verdict in seen]
        return cls(
            np.array([one.is_accepted for one, _ in seen], bool),
            np.array([1 / one.review_probability for one, _ in seen], float),
            np.array([bool(verdict and verdict.is_spoiled) for _, verdict in seen], bool),
            np.array([np.nan if rating is None else rating for rating in ratings], float),
            np.array([sum(others), len(others) - sum(others)], float),
        )

    def draw(self, rng: np.random.Generator, replicates: int) -> np.ndarray:
        """Counts of answers drawn with replacement, [B, R + 2]."""
        cells = np.concatenate([np.ones(len(self.weight)), self.unreviewed])
        total = int(cells.sum())
        if total == 0:
            return np.zeros((replicates, len(cells)))
        return rng.multinomial(total, cells / total, size=replicates).astype(float)

    def share_spoiled(self, counts: np.ndarray, accepted: bool) -> np.ndarray:
        """Hájek's estimate of the spoiled share of the accepted or the stopped, [B]; NaN without
        reviewed ones."""
        weights = counts[:, :-2] * self.weight * (self.is_accepted == accepted)
        return _ratio(weights @ self.is_spoiled, weights.sum(axis=1))

    def total(self, counts: np.ndarray, accepted: bool) -> np.ndarray:
        """How many are accepted or stopped, reviewed or not, [B]."""
        reviewed = counts[:, :-2] @ (self.is_accepted == accepted)
        return reviewed + counts[:, -2 if accepted else -1]

    def bounds(self, accepted: bool, confidence: float) -> tuple[float, float]:
        """The exact interval of the spoiled share where few are spoiled or few are good, and the
        share itself, twice, where the bootstrap knows enough."""
        rows = self.is_accepted == accepted
        weight, spoiled = self.weight[rows], self.is_spoiled[rows]
        if not weight.size:
            return 0.0, 1.0
        share = float(weight @ spoiled / weight.sum())
        if min(spoiled.sum(), (~spoiled).sum()) >= FEW:
            return share, share
        size = weight.sum() ** 2 / (weight @ weight)  # as many of equal weight tell as much
        n = max(1, int(size))
        events = share * n
        low, _ = interval(int(np.floor(events)), n, confidence)
        _, high = interval(min(n, int(np.ceil(events))), n, confidence)
        return low, high


def _recall(
    reviewed: _Reviewed, once: np.ndarray, counts: np.ndarray, confidence: float
) -> Estimate | None:
    value = float(_recalls(reviewed, once)[0])
    if np.isnan(value):
        return None
    low, high = _quantiles(_recalls(reviewed, counts), confidence)
    accepted = reviewed.total(once, True)[0]
    stopped = reviewed.total(once, False)[0]
    missed_low, missed_high = (accepted * p for p in reviewed.bounds(True, confidence))
    caught_low, caught_high = (stopped * p for p in reviewed.bounds(False, confidence))
    exact_low = caught_low / max(caught_low + missed_high, 1e-12)
    exact_high = caught_high / max(caught_high + missed_low, 1e-12)
    return Estimate(value, min(low, exact_low), max(high, exact_high), len(reviewed.weight))


def _recalls(reviewed: _Reviewed, counts: np.ndarray) -> np.ndarray:
    """The recall of each draw, [B]; NaN where a kind of answers has none reviewed."""
    missed, caught = (
        np.where(total > 0, total * reviewed.share_spoiled(counts, accepted), 0.0)
        for accepted in (True, False)
        for total in [reviewed.total(counts, accepted)]
    )
    return _ratio(caught, caught + missed)


def _spoiled_share(
    reviewed: _Reviewed, once: np.ndarray, counts: np.ndarray, confidence: float
) -> Estimate | None:
    value = float(reviewed.share_spoiled(once, True)[0])
    if np.isnan(value):
        return None
    low, high = _quantiles(reviewed.share_spoiled(counts, True), confidence)
    exact_low, exact_high = reviewed.bounds(True, confidence)
    return Estimate(
        value, min(low, exact_low), max(high, exact_high), int(reviewed.is_accepted.sum())
    )


def _quality(
    reviewed: _Reviewed, once: np.ndarray, counts: np.ndarray, confidence: float
) -> Estimate | None:
    rated = reviewed.is_accepted & ~np.isnan(reviewed.quality)
    if rated.sum() < LEAST_RATINGS:
        return None
    quality = np.where(rated, reviewed.quality, 0.0)

    def means(drawn: np.ndarray) -> np.ndarray:
        weights = drawn[:, :-2] * reviewed.weight * rated
        return _ratio(weights @ quality, weights.sum(axis=1))

    drawn = _quantiles(means(counts), confidence)
    ends = [*drawn, *_quality_by_share(reviewed, rated, confidence)]
    return Estimate(float(means(once)[0]), min(ends), max(ends), int(rated.sum()))


def _quality_by_share(
    reviewed: _Reviewed, rated: np.ndarray, confidence: float
) -> tuple[float, float]:
    """The mean quality of the accepted at either end of their spoiled share: few reviews may have
    met too few of the spoiled for a bootstrap. Stopped answers tell how bad spoiled ones are."""
    is_known = ~np.isnan(reviewed.quality)
    good = rated & ~reviewed.is_spoiled
    spoiled = is_known & reviewed.is_spoiled
    lowest = float(reviewed.quality[is_known].min())
    of_good, of_spoiled = (
        float(np.average(reviewed.quality[rows], weights=reviewed.weight[rows]))
        if rows.any()
        else lowest
        for rows in (good, spoiled)
    )
    few, many = reviewed.bounds(True, confidence)
    return few * of_spoiled + (1 - few) * of_good, many * of_spoiled + (1 - many) * of_good


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _quantiles(values: np.ndarray, confidence: float) -> tuple[float, float]:
    """The middle part of draws that say something; the whole range where none does."""
    known = values[~np.isnan(values)]
    if not known.size:
        return 0.0, 1.0
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
