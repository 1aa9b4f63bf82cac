"""How well a lane edits held-out photographs: answers, judgements and their figures."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retouch.api.request import EditRequest
from retouch.imaging import images
from training.lane import Lane
from training.photo.held_out import KINDS, PhotoEdit
from training.photo.judge import PhotoJudgement, judge_photo

Bar = Callable[[Iterable[PhotoEdit], str], Iterable[PhotoEdit]]


@dataclass(frozen=True)
class PhotoAnswer:
    """A lane's edit of one photograph, uint8 [H, W, 3], from file to file in `seconds`."""

    pixels: np.ndarray
    judgement: PhotoJudgement
    seconds: float


def edit_photos(
    repository: Path,
    lanes: Sequence[str],
    edits: Sequence[PhotoEdit],
    bar: Bar,
    detail: str = "auto",
) -> dict[str, list[PhotoAnswer]]:
    """Answers by lane. All lanes make edit i with seed i, in turn."""
    opened = [Lane(repository, name) for name in lanes]
    answers: dict[str, list[PhotoAnswer]] = {name: [] for name in lanes}
    for seed, edit in enumerate(bar(edits, "editing photographs")):
        for lane in opened:
            answers[lane.name].append(answer(lane, edit, seed, detail))
    return answers


def answer(lane: Lane, edit: PhotoEdit, seed: int, detail: str = "auto") -> PhotoAnswer:
    example = edit.example
    request = EditRequest(
        images.encode(example.source),
        example.sentence,
        seed=seed,
        detail=detail,
        on_unknown="try",
    )
    begin = time.perf_counter()
    encoded = lane.run(request)
    seconds = time.perf_counter() - begin
    picture = images.decode(encoded)
    region = lane.region(*picture.shape[:2])
    judgement = judge_photo(example.source, example.target, picture, region, edit.redraws)
    return PhotoAnswer(picture, judgement, seconds)


def photo_figures(
    edits: Sequence[PhotoEdit], answers: dict[str, list[PhotoAnswer]]
) -> dict[str, dict[str, Any]]:
    """Figures by lane and kind of edit, ready for JSON. Differences are means of CIEDE2000."""
    return {
        lane: {
            kind: _figures([row for row, edit in zip(rows, edits) if kind in (edit.kind, "all")])
            for kind in (*KINDS, "all")
        }
        for lane, rows in answers.items()
    }


def _figures(rows: list[PhotoAnswer]) -> dict[str, Any]:
    verdicts = [row.judgement for row in rows]
    kept = [verdict.detail for verdict in verdicts if verdict.detail is not None]
    return {
        "edits": len(rows),
        "success": _mean(verdict.success for verdict in verdicts),
        "difference": _mean(verdict.difference for verdict in verdicts),
        "before": _mean(verdict.unchanged for verdict in verdicts),
        "moved_outside": sum(verdict.outside > 0 for verdict in verdicts),
        "detail": _mean(kept) if kept else None,
        "seconds": statistics.median(row.seconds for row in rows) if rows else None,
    }


def _mean(values: Iterable[float]) -> float:
    known = [float(value) for value in values]
    return statistics.fmean(known) if known else 0.0
