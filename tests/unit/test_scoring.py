"""Scores of a result: what the evaluator sees of it, and what becomes of an edit without scores."""

from __future__ import annotations

import json

import numpy as np
import pytest

from retouch.api.errors import RequestError
from retouch.api.geometry import BUCKETS
from retouch.api.response import EditInfo, Operation, Scores
from retouch.quality.compared import Compared, nearest_bucket
from retouch.quality.reading import Vocabulary
from retouch.serving import scoring

VOCABULARY = Vocabulary(("none", "remove", "warmer"), ("circle", "half", "left", "red"))
SCORES = Scores(0.9, 0.8, 0.7, 0.6, "3")


def picture(height=128, width=128, value=90):
    return np.full((height, width, 3), value, np.uint8)


def info():
    return EditInfo("final", 1, "bf16", operations=[Operation("remove", "red circle")])


class Evaluator:
    """Answers with SCORES, and keeps what it was asked."""

    def __init__(self, failure=None):
        self.failure = failure
        self.asked = []

    def call(self, model, inputs):
        self.asked.append((model, inputs))
        if self.failure:
            raise self.failure
        result = EditInfo.from_json(inputs["INFO"][0, 0])
        result.scores = SCORES
        return {"INFO": np.array([[result.to_json().encode()]], object)}


def test_scores_go_into_info_and_back():
    evaluator = Evaluator()
    result = info()
    scoring.score(evaluator.call, picture(), picture(value=200), np.ones(64, bool), result)
    assert result.scores == SCORES and not result.notes
    assert EditInfo.from_json(result.to_json()) == result
    ((model, inputs),) = evaluator.asked
    assert model == "evaluator" and inputs["BOXES"].shape == (1, 0, 2, 4)
    row = scoring.to_score({name: value[0] for name, value in inputs.items()}, result)
    assert row.operations == result.operations and row.compared.answer.mean() == 200


def test_an_older_answer_has_no_scores():
    text = json.loads(info().to_json())
    del text["scores"]
    assert EditInfo.from_json(json.dumps(text)).scores is None


def test_an_evaluator_that_fails_is_a_note():
    result = info()
    evaluator = Evaluator(RequestError("it is gone", "UNAVAILABLE"))
    scoring.score(evaluator.call, picture(), picture(), np.ones(64, bool), result)
    assert result.scores is None and result.notes == [scoring.NOT_SCORED]


def test_a_result_of_its_own_size_is_not_compared():
    result = info()
    evaluator = Evaluator()
    scoring.score(evaluator.call, picture(), picture(96, 160), np.ones(60, bool), result)
    assert not evaluator.asked and result.notes == [scoring.OF_ITS_OWN]


def test_transparency_is_compared_on_white():
    evaluator = Evaluator()
    clear = np.zeros((128, 128, 4), np.uint8)
    scoring.score(evaluator.call, picture(), clear, np.ones(64, bool), info())
    assert (evaluator.asked[0][1]["ANSWER"] == 255).all()


def test_outside_the_region_the_answer_is_the_source():
    cells = np.zeros((8, 8), bool)
    cells[:4] = True
    compared = Compared.of(picture(), picture(value=200), cells.ravel())
    assert (compared.answer[:64] == 200).all() and (compared.answer[64:] == 90).all()
    assert (compared.cells == cells).all()


@pytest.mark.parametrize("size", [(64, 64), (1024, 1024), (768, 1280), (1280, 768), (512, 2048)])
def test_pictures_of_any_size_are_seen_small(size):
    grid = np.zeros((size[0] // 16, size[1] // 16), bool)
    grid[: len(grid) // 2] = True
    compared = Compared.of(picture(*size), picture(*size, value=10), grid.ravel())
    height, width, _ = compared.source.shape
    assert (height, width) in BUCKETS and compared.answer.shape == compared.source.shape
    assert compared.cells.shape == (height // 16, width // 16)
    assert compared.cells[: height // 32].all() and not compared.cells[height // 32 + 1 :].any()


def test_a_bucket_is_chosen_by_proportions():
    assert nearest_bucket(1000, 1000) == (128, 128)
    assert nearest_bucket(600, 1000) == (96, 160) and nearest_bucket(3000, 1000) == (160, 96)


def test_a_reading_marks_what_is_named():
    rows = VOCABULARY.reading([Operation("remove", "red circle"), Operation("warmer", "left half")])
    assert rows.shape == (2, VOCABULARY.width) and set(np.unique(rows)) == {0, 1}
    marked = [[int(index) for index in row.nonzero()[0]] for row in rows]
    assert marked == [[1, 3, 6], [2, 4, 5]]


def test_a_reading_leaves_out_what_is_unknown():
    operations = [Operation("fly", "purple dragon", "high")] + [Operation("remove")] * 5
    rows = VOCABULARY.reading(operations)
    assert not rows[0].any() and rows[1].sum() == 1 and len(rows) == VOCABULARY.slots


def test_no_operation_is_a_reading_of_zeros():
    assert not VOCABULARY.reading([]).any()
