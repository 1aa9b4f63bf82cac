"""What a step costs: seconds and bytes by how many edits share it, their target tokens and their
reference tokens.

`make profile` measures it for a machine and a lane and writes `cost.json` beside the lane's
graphs. Without that file the defaults hold: relations, found on two CPU cores with the shipped
checkpoint, which the running loop's pace turns into seconds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

NAME = "cost.json"


@dataclass(frozen=True)
class Measured:
    """Seconds of a step shared by `batch` edits of `tokens` target and `reference` reference tokens
    each."""

    batch: int
    tokens: int
    reference: int
    seconds: float


@dataclass(frozen=True)
class Cost:
    """Seconds of a step, of each edit in it, of each of its target tokens, and of each pair of
    tokens that attend.

    Bytes `kept` by an edit between its steps for each reference token, and `held` by a step for
    each token of either kind that is in it. `beside` is how many times longer steps take when all
    workers step at once: 1 where each has a core of its own, as many as there are workers where
    they gain nothing."""

    step: float = 8e-4
    edit: float = 2e-4
    token: float = 5e-5
    pair: float = 5e-8
    kept: float = 16e3
    held: float = 64e3
    beside: float = 1.0

    def seconds(self, batch: int, tokens: int, reference: int) -> float:
        return float(
            np.dot(_terms(batch, tokens, reference), (self.step, self.edit, self.token, self.pair))
        )

    def bytes(self, batch: int, tokens: int, reference: int) -> float:
        """That a step holds while it runs."""
        return batch * (tokens + reference) * self.held

    def workers(self, most: int) -> int:
        """How many of at most so many workers step side by side at a gain."""
        return most if self.beside < most else 1

    def mean_wait(self, batch: int, tokens: int, reference: int) -> float:
        """Seconds until an edit's step is done, as a mean over `batch` edits that take it one after
        the other."""
        return (batch + 1) / 2 * self.seconds(1, tokens, reference)


def fit(measured: Sequence[Measured]) -> Cost:
    """The seconds, none below zero, with the least squares of relative errors; ValueError without
    measurements."""
    if not measured:
        raise ValueError("there is nothing measured to fit a cost to")
    seconds = np.array([each.seconds for each in measured])
    terms = (
        np.array([_terms(each.batch, each.tokens, each.reference) for each in measured])
        / seconds[:, None]
    )
    used = list(range(terms.shape[1]))
    while True:  # whatever comes out below zero is none
        found = np.linalg.lstsq(terms[:, used], np.ones(len(measured)), rcond=None)[0]
        if (found >= 0).all():
            break
        used.pop(int(found.argmin()))
    costs = np.zeros(terms.shape[1])
    costs[used] = found
    return Cost(*map(float, costs))


def load(folder: Path) -> Cost:
    """The costs of a lane on this machine: those measured, where there are any that can be read, or
    the defaults."""
    try:
        text = json.loads((Path(folder) / NAME).read_text())
        return Cost(**text["seconds"], **text.get("bytes", {}), beside=text.get("beside", 1.0))
    except (OSError, ValueError, KeyError, TypeError):
        return Cost()


def save(cost: Cost, measured: Sequence[Measured], machine: str, folder: Path) -> Path:
    """Write costs and what they were fitted to; the file's path."""
    path = Path(folder) / NAME
    rows = [
        asdict(each) | {"fitted": cost.seconds(each.batch, each.tokens, each.reference)}
        for each in measured
    ]
    costs = asdict(cost)
    told = {
        "machine": machine,
        "seconds": {name: costs[name] for name in ("step", "edit", "token", "pair")},
        "bytes": {name: costs[name] for name in ("kept", "held")},
        "beside": cost.beside,
        "measured": rows,
    }
    path.write_text(json.dumps(told, indent=1) + "\n")
    return path


def _terms(batch: int, tokens: int, reference: int) -> tuple[float, ...]:
    return 1, batch, batch * tokens, batch * tokens * (tokens + reference)
