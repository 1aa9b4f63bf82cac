"""The pipeline with an evaluator: when a result is scored, and what an edit has of it."""

from __future__ import annotations

import numpy as np
import pytest
from test_edit_pipeline import PHOTO, Stages, pipeline_of

from retouch.api.errors import RequestError
from retouch.api.request import EditRequest
from retouch.api.response import EditInfo, Scores
from retouch.serving.edit_pipeline import EditPipeline, string_tensor
from retouch.serving.scoring import NOT_SCORED

SCORES = Scores(0.9, 0.8, 0.7, 0.6, "1")


class Scoring(Stages):
    """With an evaluator, which may fail."""

    def __init__(self, fails=False):
        super().__init__()
        self.fails = fails

    def call(self, model, inputs):
        if model != "evaluator":
            outputs = super().call(model, inputs)
            return outputs | {"BOXES": np.zeros((1, 2, 2, 4))} if model == "vl_parser" else outputs
        self.calls.append(model)
        if self.fails:
            raise RequestError("the stub is gone", "INTERNAL")
        info = EditInfo.from_json(inputs["INFO"][0, 0])
        info.scores = SCORES
        return {"INFO": string_tensor(info.to_json())}


def pipeline(stages, share=0.0):
    made = pipeline_of(stages)
    assert isinstance(made, EditPipeline)
    made._score_share = share
    return made


def request(**options):
    return EditRequest(PHOTO, "make it warmer", seed=1, **options)


def test_a_result_that_is_asked_for_has_scores_and_previews_have_none():
    stages = Scoring()
    *previews, last = pipeline(stages).edit(request(score=1, previews=1))
    assert last.info.scores == SCORES and last.info.milliseconds["evaluator"] >= 0
    assert all(answer.info.scores is None for answer in previews)
    assert stages.calls.count("evaluator") == 1


def test_without_score_the_evaluator_is_not_called():
    stages = Scoring()
    *_, last = pipeline(stages).edit(request())
    assert last.info.scores is None and "evaluator" not in stages.calls
    assert "evaluator" not in last.info.milliseconds


def test_a_sampled_result_is_scored_after_it_is_sent():
    stages = Scoring()
    answers = pipeline(stages, share=1.0).edit(request())
    for answer in answers:
        if answer.final:
            break
    assert answer.info.scores is None and "evaluator" not in stages.calls
    assert list(answers) == [] and stages.calls[-1] == "evaluator"
    assert answer.info.scores is None


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_no_edit_fails_for_want_of_an_evaluator(share):
    stages = Scoring(fails=True)
    *_, last = pipeline(stages, share).edit(request(score=1 - int(share)))
    assert last.final and last.info.scores is None
    assert (NOT_SCORED in last.info.notes) == (share == 0)
