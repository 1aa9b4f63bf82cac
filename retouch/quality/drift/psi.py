"""The population stability index: how far values are distributed otherwise than a reference.

PSI is Σ (share − reference share) · ln(share / reference share) over the bins of a histogram: the
symmetric divergence of Jeffreys (1946), under the name that Siddiqi, "Credit Risk Scorecards"
(2006), uses. By custom less than 0.1 counts as stable and more than 0.25 as changed. That is no
test: of n values and r in the reference, over B bins, chance alone gives about (B − 1)(1/n + 1/r)
(Yurdakul 2018)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np

STABLE = 0.1
CHANGED = 0.25
EMPTY = 0.5  # values that are added to every bin, so that an empty one has a finite logarithm


@dataclass(frozen=True)
class ReferenceHistogram:
    """A frozen histogram of B bins. `edges` are the B − 1 borders between them, rising; the first
    and the last bin are open. A value on a border is in the bin above. `counts` are the B numbers
    of values.

    ValueError where they do not fit each other, or no value is counted."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.counts) != len(self.edges) + 1:
            raise ValueError(
                f"{len(self.counts)} bins have {len(self.counts) - 1} borders, not "
                f"{len(self.edges)}"
            )
        if any(high <= low for low, high in zip(self.edges, self.edges[1:])):
            raise ValueError("the borders of bins must rise")
        if not all(math.isfinite(edge) for edge in self.edges):
            raise ValueError("the borders of bins must be finite")
        if min(self.counts) < 0 or not sum(self.counts):
            raise ValueError("a reference must have values, and no bin fewer than none")

    @classmethod
    def of(cls, values: Iterable[float], bins: int = 10) -> ReferenceHistogram:
        """Of the reference's `values` in bins of about equal counts; fewer bins where values
        repeat.

        ValueError where there is no value, one is not finite, or `bins` is below 2."""
        sample = _finite(values)
        if bins < 2:
            raise ValueError(f"bins are {bins}; at least 2 are needed")
        quantiles = np.quantile(sample, np.arange(1, bins) / bins)
        borders = np.unique(quantiles[quantiles > sample.min()])
        if not borders.size:  # one value has nearly all of the weight: what is around it counts
            borders = np.array([sample.min(), np.nextafter(sample.min(), np.inf)])
        edges = tuple(borders.tolist())
        return cls(edges, _counts(sample, edges))

    def psi(self, values: Iterable[float]) -> float:
        """The index of `values`, 0 or more; 0 for the reference's own.

        ValueError where there is no value or one is not finite."""
        shares = _shares(_counts(_finite(values), self.edges))
        expected = _shares(self.counts)
        return float(((shares - expected) * np.log(shares / expected)).sum())

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> ReferenceHistogram:
        """ValueError where the text is no reference."""
        try:
            data = json.loads(text)
            edges = tuple(float(edge) for edge in data["edges"])
            counts = tuple(int(count) for count in data["counts"])
        except (KeyError, TypeError) as failure:
            raise ValueError(f"this is no reference histogram: {failure}") from None
        return cls(edges, counts)


def _finite(values: Iterable[float]) -> np.ndarray:
    sample = np.asarray([*values], np.float64)
    if not sample.size or not np.isfinite(sample).all():
        raise ValueError("a histogram needs at least one value, and finite ones alone")
    return sample


def _counts(sample: np.ndarray, edges: tuple[float, ...]) -> tuple[int, ...]:
    bins = np.searchsorted(np.asarray(edges, np.float64), sample, side="right")
    return tuple(np.bincount(bins, minlength=len(edges) + 1).tolist())


def _shares(counts: tuple[int, ...]) -> np.ndarray:
    smoothed = np.asarray(counts, np.float64) + EMPTY
    return smoothed / smoothed.sum()
