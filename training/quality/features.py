"""What the evaluator's head sees of many judged answers, computed once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from retouch.networks.evaluator import PARTS, Evaluator
from training.quality.examples import Judged

BATCH = 32


@dataclass(frozen=True)
class FeatureTable:
    """Rows of answers: `features` [N, F], `goals` [N, 4] of PARTS, which are NaN where nothing is
    known, the name of each one's fault, and whether it is a photograph."""

    features: Tensor
    goals: Tensor
    faults: list[str]
    is_photo: list[bool]

    def counts(self) -> Counter[str]:
        return Counter(self.faults)


@torch.inference_mode()
def tabulate(evaluator: Evaluator, answers: Iterable[Judged]) -> FeatureTable:
    """The table of the answers, in an order of its own: those of a size go together."""
    waiting: dict[tuple[int, ...], list[Judged]] = defaultdict(list)
    tables: list[FeatureTable] = []
    for answer in answers:
        rows = waiting[answer.source.shape]
        rows.append(answer)
        if len(rows) == BATCH:
            tables.append(_table(evaluator, rows))
            rows.clear()
    tables += [_table(evaluator, rows) for rows in waiting.values() if rows]
    return joined(tables)


def joined(tables: Sequence[FeatureTable]) -> FeatureTable:
    return FeatureTable(
        torch.cat([table.features for table in tables]),
        torch.cat([table.goals for table in tables]),
        [fault for table in tables for fault in table.faults],
        [is_photo for table in tables for is_photo in table.is_photo],
    )


def _table(evaluator: Evaluator, rows: Sequence[Judged]) -> FeatureTable:
    features = evaluator.features(
        planes([row.source for row in rows]),
        planes([row.answer for row in rows]),
        torch.from_numpy(np.stack([row.region for row in rows])).float()[:, None],
        torch.from_numpy(np.stack([row.reading for row in rows])),
        torch.from_numpy(np.stack([row.boxes for row in rows])),
    )
    goals = torch.tensor([_goals(row) for row in rows])
    return FeatureTable(
        features, goals, [row.fault for row in rows], [row.is_photo for row in rows]
    )


def planes(pictures: Sequence[np.ndarray]) -> Tensor:
    """uint8 [H, W, 3] of one size → float32 [B, 3, H, W], 0 to 255."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()


def _goals(row: Judged) -> list[float]:
    parts = (getattr(row.parts, name) for name in PARTS[1:])
    return [row.score, *(float("nan") if part is None else part for part in parts)]
