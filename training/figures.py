"""The figures of an evaluation, as the tables show and `--json` writes them. Their names are
stable."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from training.judge import Judgement
from training.lane import Answer
from training.likeness import Likeness, psnr
from training.scenes import EDIT_KINDS, Pair

REFERENCE = "bf16"


@dataclass(frozen=True)
class Outcome:
    """One lane's answers to all scenes, and their likenesses to those of the reference; none for
    the reference itself."""

    bytes: dict[str, int]
    answers: list[Answer]
    likenesses: list[Likeness] = field(default_factory=list)


def figures(scenes: Sequence[Pair], outcomes: dict[str, Outcome]) -> dict[str, Any]:
    """The figures of all lanes, ready for JSON.

    Shares are 0 to 1, losses are percentage points, PSNR is in decibels (None: infinite). `bytes`
    are a step's weights by tier. Seconds are medians; those of a step are None if every edit has
    only one. A scene's number is its seed."""
    reference = [answer.judgement.success for answer in outcomes[REFERENCE].answers]
    return {
        "scenes": len(scenes),
        "lanes": {
            lane: _quality(outcome.answers, reference)
            | _likeness(scenes, outcome.likenesses)
            | {
                "bytes": outcome.bytes,
                "seconds_per_edit": statistics.median(answer.seconds for answer in outcome.answers),
                "seconds_per_step": _median(
                    second for answer in outcome.answers for second in answer.step_seconds
                ),
                "operations": _operations(scenes, outcome.answers),
            }
            for lane, outcome in outcomes.items()
        },
    }


def worst_first(likenesses: Sequence[Likeness]) -> list[int]:
    """Scene numbers from the largest LPIPS to the smallest."""
    return sorted(range(len(likenesses)), key=lambda number: -likenesses[number].lpips)


def _quality(answers: list[Answer], reference: list[bool]) -> dict[str, Any]:
    verdicts = [answer.judgement for answer in answers]
    pairs = [(one.success, other) for one, other in zip(verdicts, reference)]
    lost = pairs.count((False, True))
    won = pairs.count((True, False))
    return {
        "success": _mean(verdicts, "success"),
        "loss_points": 100 * (lost - won) / len(pairs),
        "scenes_lost": lost,
        "scenes_won": won,
        "strict_success": _mean(verdicts, "strict"),
    }


def _likeness(scenes: Sequence[Pair], likenesses: list[Likeness]) -> dict[str, Any]:
    if not likenesses:
        return {}
    worst = worst_first(likenesses)[0]
    return {
        "lpips_mean": _mean(likenesses, "lpips"),
        "lpips_worst": likenesses[worst].lpips,
        "psnr_mean": _finite(psnr(likenesses)),
        "psnr_worst": _finite(min(psnr([likeness]) for likeness in likenesses)),
        "identical": sum(likeness.identical for likeness in likenesses),
        "worst_scene": worst,
        "worst_instruction": scenes[worst].instruction,
    }


def _operations(scenes: Sequence[Pair], answers: list[Answer]) -> dict[str, dict[str, float]]:
    rows: dict[str, list[Judgement]] = defaultdict(list)
    for pair, answer in zip(scenes, answers):
        rows[pair.kind].append(answer.judgement)
    rows = {kind: rows[kind] for kind in EDIT_KINDS if rows[kind]} | {
        "all": [answer.judgement for answer in answers]
    }
    return {
        kind: {"scenes": len(row)}
        | {name: _mean(row, name) for name in ("success", "inside", "outside", "drift")}
        for kind, row in rows.items()
    }


def _mean(rows: Iterable[object], name: str) -> float:
    return statistics.fmean(float(getattr(row, name)) for row in rows)


def _median(seconds: Iterable[float]) -> float | None:
    known = list(seconds)
    return statistics.median(known) if known else None


def _finite(decibels: float) -> float | None:
    return decibels if math.isfinite(decibels) else None
