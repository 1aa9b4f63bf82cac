"""What the evaluator reaches on held-out answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from retouch.networks.evaluator import Evaluator
from training.quality.examples import GOOD
from training.quality.features import FeatureTable

BINS = 10  # of the reliability table


def figures(evaluator: Evaluator, table: FeatureTable) -> dict[str, Any]:
    """AUC of the score, of all answers and by fault, on photographs and on drawn scenes, and the
    reliability by bins. An AUC without good or spoiled answers is None."""
    with torch.inference_mode():
        scores = evaluator.judge(table.features.float()).sigmoid()[:, 0].numpy()
    faults = np.array(table.faults)
    photos = np.array(table.is_photo)
    rows = {}
    for name in ("all", *sorted(set(table.faults) - {GOOD})):
        counted = (faults == GOOD) | (faults == name) | (name == "all")
        rows[name] = {
            "answers": int((counted & (faults != GOOD)).sum()),
            "auc": _auc(scores, faults, counted),
            "auc_photos": _auc(scores, faults, counted & photos),
            "auc_shapes": _auc(scores, faults, counted & ~photos),
        }
    good = faults == GOOD
    return {"good": int(good.sum()), "faults": rows, "reliability": reliability(scores, good)}


def auc(scores: np.ndarray, good: np.ndarray) -> float | None:
    """The probability that a good answer's score is above a spoiled one's; ties count half. The
    Mann-Whitney statistic over the number of pairs."""
    count = int(good.sum())
    pairs = count * (len(good) - count)
    if not pairs:
        return None
    _, place, size = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(size) - (size - 1) / 2)[place]  # equal scores share their mean rank
    return float((ranks[good].sum() - count * (count + 1) / 2) / pairs)


def reliability(scores: np.ndarray, good: np.ndarray) -> list[dict[str, float]]:
    """For each bin of the score: how many answers, their mean score, and the share of good ones."""
    places = np.minimum((scores * BINS).astype(int), BINS - 1)
    return [
        {
            "count": int((places == index).sum()),
            "score": float(scores[places == index].mean()),
            "good": float(good[places == index].mean()),
        }
        for index in range(BINS)
        if (places == index).any()
    ]


def _auc(scores: np.ndarray, faults: np.ndarray, counted: np.ndarray) -> float | None:
    return auc(scores[counted], faults[counted] == GOOD)


def lines(report: dict[str, Any]) -> Sequence[str]:
    """A table in Markdown."""
    rows = ["| fault | answers | AUC | photographs | shapes |", "|---|---|---|---|---|"]
    for name, row in report["faults"].items():
        cells = (_cell(row[key]) for key in ("auc", "auc_photos", "auc_shapes"))
        rows.append(f"| {name} | {row['answers']} | {' | '.join(cells)} |")
    return rows


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
