"""The cost of a step: seconds and bytes by its batch size, target tokens and reference tokens.

`retouch profile` measures it on this machine and writes `cost.json` beside the lane's graphs.
Without that file the defaults hold. They were measured on two CPU cores with the shipped
checkpoint; the running engine scales them by the step times that it measures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

NAME = "cost.json"
SECONDS = ("step", "edit", "token", "pair")
BYTES = ("kv_bytes_per_token", "activation_bytes_per_token")


@dataclass(frozen=True)
class Measured:
    """Seconds of a step of `batch` edits, with this many target and reference tokens an edit."""

    batch: int
    target_tokens: int
    reference_tokens: int
    seconds: float


@dataclass(frozen=True)
class Cost:
    """The cost model of a lane.

    Seconds: of a `step`, of every `edit` in it, of every target `token`, and of every `pair` of
    tokens that attend. Bytes: `kv_bytes_per_token` an edit keeps between its steps for a reference
    token; `activation_bytes_per_token` a step takes for a token of either kind. `contention` is the
    ratio of step times with all workers busy to those of one: 1 where every worker has a core of
    its own, the number of workers where they gain nothing. `copy` are seconds of a byte between the
    device and host memory; the default is 10 GB/s."""

    step: float = 8e-4
    edit: float = 2e-4
    token: float = 5e-5
    pair: float = 5e-8
    kv_bytes_per_token: float = 16e3
    activation_bytes_per_token: float = 64e3
    contention: float = 1.0
    copy: float = 1e-10

    def seconds(self, batch: int, target_tokens: int, reference_tokens: int) -> float:
        """Seconds of a step of `batch` edits."""
        terms = _terms(batch, target_tokens, reference_tokens)
        return float(np.dot(terms, (self.step, self.edit, self.token, self.pair)))

    def activation_bytes(self, batch: int, target_tokens: int, reference_tokens: int) -> float:
        """Bytes that a step of `batch` edits takes while it runs."""
        return batch * (target_tokens + reference_tokens) * self.activation_bytes_per_token

    def copy_seconds(self, bytes: int) -> float:
        """Seconds in which so many bytes go from the device to host memory, or back."""
        return self.copy * bytes

    def workers(self, limit: int) -> int:
        """How many workers to run: `limit` where steps side by side gain, else 1."""
        return limit if self.contention < limit else 1

    def mean_wait(self, batch: int, target_tokens: int, reference_tokens: int) -> float:
        """Mean seconds until an edit's step is done when `batch` edits step one by one."""
        return (batch + 1) / 2 * self.seconds(1, target_tokens, reference_tokens)


def fit(measured: Sequence[Measured]) -> Cost:
    """The non-negative seconds with the least squares of relative errors; ValueError without
    measurements."""
    if not measured:
        raise ValueError("there is nothing measured to fit a cost to")
    seconds = np.array([point.seconds for point in measured])
    rows = [_terms(point.batch, point.target_tokens, point.reference_tokens) for point in measured]
    terms = np.array(rows) / seconds[:, None]
    used = list(range(terms.shape[1]))
    while True:  # drop the most negative coefficient until none is negative
        solution = np.linalg.lstsq(terms[:, used], np.ones(len(measured)), rcond=None)[0]
        if (solution >= 0).all():
            break
        used.pop(int(solution.argmin()))
    costs = np.zeros(terms.shape[1])
    costs[used] = solution
    return Cost(*map(float, costs))


def load(folder: Path) -> Cost:
    """The measured cost of the lane in `folder`; the defaults without a readable file."""
    try:
        content = json.loads((Path(folder) / NAME).read_text())
        return Cost(
            **content["seconds"],
            **content.get("bytes", {}),
            contention=content.get("contention", 1.0),
            copy=content.get("copy", Cost.copy),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return Cost()


def save(cost: Cost, measured: Sequence[Measured], machine: str, folder: Path) -> Path:
    """Write a cost and the measurements behind it; the path of the file."""
    path = Path(folder) / NAME
    values = asdict(cost)
    content = {
        "machine": machine,
        "seconds": {name: values[name] for name in SECONDS},
        "bytes": {name: values[name] for name in BYTES},
        "contention": cost.contention,
        "copy": cost.copy,
        "measured": [_row(cost, point) for point in measured],
    }
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def _row(cost: Cost, point: Measured) -> dict[str, float]:
    fitted = cost.seconds(point.batch, point.target_tokens, point.reference_tokens)
    return asdict(point) | {"fitted": fitted}


def _terms(batch: int, target_tokens: int, reference_tokens: int) -> tuple[float, ...]:
    """The factors of a step's seconds, in the order of SECONDS."""
    pairs = batch * target_tokens * (target_tokens + reference_tokens)
    return 1, batch, batch * target_tokens, pairs
