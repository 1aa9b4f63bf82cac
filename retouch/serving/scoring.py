"""Scores of a result, from the model `evaluator`; a result never fails for want of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import numpy as np

from retouch.api.errors import RequestError
from retouch.api.response import EditInfo
from retouch.families.denoise_request import Arrays
from retouch.families.evaluator import Evaluator, ToScore
from retouch.imaging import images
from retouch.quality.compared import Compared

MODEL = "evaluator"
NOT_SCORED = "the result has no scores: the evaluator did not answer"
OF_ITS_OWN = "the result has no scores: the evaluator compares results of the source's size alone"
NO_BOXES = np.zeros((0, 2, 4), np.float32)

Call = Callable[[str, Arrays], Arrays]

log = logging.getLogger(__name__)


class Scorer:
    """Scores one edit's result: before it is sent where the request asks for it, or afterwards
    where the edit is in the sample that is always scored."""

    def __init__(self, call: Call, source: np.ndarray, is_asked: bool, is_sampled: bool):
        """`source` is uint8 [H, W, 3]; `call(model, inputs)` returns a model's outputs."""
        self._call = call
        self._source = source
        self._is_asked = is_asked
        self._is_sampled = is_sampled
        self._later: Callable[[], None] | None = None

    @property
    def is_asked(self) -> bool:
        return self._is_asked

    def take(
        self, picture: np.ndarray, cells: np.ndarray, boxes: np.ndarray, info: EditInfo
    ) -> None:
        """Score a result as in `score`, now or in `finish`."""
        if self._is_asked:
            score(self._call, self._source, picture, cells, info, boxes)
        elif self._is_sampled:
            own = EditInfo.from_json(info.to_json())  # the answer's is sent meanwhile
            self._later = partial(score, self._call, self._source, picture, cells, own, boxes)

    def finish(self) -> None:
        """Score what was taken and has no scores yet: for the metrics alone."""
        if self._later:
            self._later()


def score(
    call: Call,
    source: np.ndarray,
    picture: np.ndarray,
    cells: np.ndarray,
    info: EditInfo,
    boxes: np.ndarray = NO_BOXES,
) -> None:
    """Put the scores of a result into `info`, or a note that there are none.

    `source` is uint8 [H, W, 3] and `picture` [H, W, 3 or 4] of the same size; `cells` bool [N] is
    the region, and `boxes` [S, 2, 4] are the parser's. `call(model, inputs)` returns a model's
    outputs."""
    answer = images.on_white(picture)
    if answer.shape != source.shape:
        info.notes.append(OF_ITS_OWN)
        return
    inputs = {
        "SOURCE": source[None],
        "ANSWER": np.ascontiguousarray(answer)[None],
        "CELLS": cells[None],
        "BOXES": boxes[None].astype(np.float32),
        "INFO": np.array([[info.to_json().encode()]], object),
    }
    try:
        scores = EditInfo.from_json(call(MODEL, inputs)["INFO"][0, 0]).scores
    except RequestError as failure:
        log.warning("a result was not scored: %s", failure)
        scores = None
    info.scores = scores
    if scores is None:
        info.notes.append(NOT_SCORED)


def to_score(row: Arrays, info: EditInfo) -> ToScore:
    """What the evaluator takes of a row of the model's inputs, whose INFO is `info`."""
    compared = Compared.of(row["SOURCE"], row["ANSWER"], row["CELLS"])
    return ToScore(compared, info.operations, row["BOXES"])


def scored(evaluator: Evaluator, row: Arrays) -> EditInfo:
    """INFO of a row with the answer's scores."""
    info = EditInfo.from_json(row["INFO"][0])
    info.scores = evaluator.score(to_score(row, info))
    return info
