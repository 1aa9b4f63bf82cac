"""How well lanes edit held-out photographs: answers, judgements and their figures."""

from __future__ import annotations

import statistics
import time
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from retouch.api.request import EditRequest
from retouch.imaging import images
from training.figures import REFERENCE
from training.lane import Lane
from training.photo.held_out import KINDS, PhotoEdit
from training.photo.judge import LARGEST, PhotoJudgement, judge_photo

ALL = "all"  # the row of all kinds


@dataclass(frozen=True)
class PhotoAnswer:
    """A lane's edit of one photograph, from file to file in `seconds`. `kind` is the edit's."""

    kind: str
    judgement: PhotoJudgement
    seconds: float


@dataclass(frozen=True)
class Sample:
    """An edit to look at, and its answer uint8 [H, W, 3]."""

    edit: PhotoEdit
    pixels: np.ndarray
    judgement: PhotoJudgement


@dataclass(frozen=True)
class PhotoOutcome:
    """Answers by lane, and samples of the first lane's."""

    answers: dict[str, list[PhotoAnswer]]
    samples: list[Sample]


def edit_photos(
    lanes: Sequence[Lane],
    edits: Iterable[PhotoEdit],
    shown: Container[int] = (),
    steps: int = 0,
    detail: str = "auto",
) -> PhotoOutcome:
    """All lanes make edit i with seed i, in turn. `steps` 0 is the checkpoint's default.

    The edits whose numbers are `shown` become samples. No other picture is kept, because those of
    all edits take gigabytes."""
    outcome = PhotoOutcome({lane.name: [] for lane in lanes}, [])
    for number, edit in enumerate(edits):
        request = _request(edit, number, steps, detail)
        for lane in lanes:
            answer, pixels = _answer(lane, edit, request)
            outcome.answers[lane.name].append(answer)
            if number in shown and lane is lanes[0]:
                outcome.samples.append(Sample(edit, pixels, answer.judgement))
    return outcome


def photo_figures(answers: dict[str, list[PhotoAnswer]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Figures by lane and kind of edit, ready for JSON. Kinds without an edit are left out.

    Shares are 0 to 1, differences are means of CIEDE2000, seconds are medians. `loss_points` are
    the percentage points of success that the reference has more; None without it. `near` is the
    share of edits whose source itself has a small enough difference: doing nothing succeeds there,
    unless detail is lost."""
    reference = answers.get(REFERENCE)
    kinds = {row.kind for rows in answers.values() for row in rows}
    return {
        lane: {
            kind: _figures(_of(kind, rows), reference and _of(kind, reference))
            for kind in (*KINDS, ALL)
            if kind in kinds or (kind == ALL and kinds)
        }
        for lane, rows in answers.items()
    }


def _request(edit: PhotoEdit, seed: int, steps: int, detail: str) -> EditRequest:
    return EditRequest(
        images.encode(edit.example.source),
        edit.example.sentence,
        seed=seed,
        steps=steps,
        detail=detail,
        on_unknown="try",
    )


def _answer(lane: Lane, edit: PhotoEdit, request: EditRequest) -> tuple[PhotoAnswer, np.ndarray]:
    """The answer and its picture."""
    begin = time.perf_counter()
    encoded = lane.run(request)
    seconds = time.perf_counter() - begin
    picture = images.decode(encoded)
    region = lane.region(*picture.shape[:2])
    example = edit.example
    judgement = judge_photo(example.source, example.target, picture, region, edit.redraws)
    return PhotoAnswer(edit.kind, judgement, seconds), picture


def _of(kind: str, rows: list[PhotoAnswer]) -> list[PhotoAnswer]:
    return [row for row in rows if kind in (row.kind, ALL)]


def _figures(rows: list[PhotoAnswer], reference: list[PhotoAnswer] | None) -> dict[str, Any]:
    verdicts = [row.judgement for row in rows]
    details = [verdict.detail for verdict in verdicts if verdict.detail is not None]
    success = _success(rows)
    return {
        "edits": len(rows),
        "success": success,
        "near": statistics.fmean(verdict.unchanged <= LARGEST for verdict in verdicts),
        "loss_points": 100 * (_success(reference) - success) if reference else None,
        "difference": statistics.fmean(verdict.difference for verdict in verdicts),
        "before": statistics.fmean(verdict.unchanged for verdict in verdicts),
        "moved_outside": sum(verdict.outside > 0 for verdict in verdicts),
        "detail": statistics.fmean(details) if details else None,
        "seconds": statistics.median(row.seconds for row in rows),
    }


def _success(rows: list[PhotoAnswer]) -> float:
    return statistics.fmean(row.judgement.success for row in rows)
