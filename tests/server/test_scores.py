"""Scores at a real server: in INFO where they are asked for, and on the metrics page."""

from __future__ import annotations

from counts import counted, page_of
from processes import until

SENTENCE = "make it warmer"
PARTS = ("score", "consistency", "instruction", "plausibility")


def edit(client, photo, **options):
    *_, last = client.edit(photo, SENTENCE, precision="bf16", seed=1, **options)
    return last


def test_a_result_that_asks_for_scores_has_them(server, client, photo):
    page = page_of(server)
    before = counted(page, "retouch_score_count")
    plain, scored = edit(client, photo), edit(client, photo, score=1)
    assert plain.info.scores is None and plain.image == scored.image
    assert all(0 <= getattr(scored.info.scores, part) <= 1 for part in PARTS)
    assert scored.info.scores.evaluator and scored.info.milliseconds["evaluator"] > 0
    until(
        lambda: counted(page, "retouch_score_count") == before + len(PARTS), "no score is counted"
    )
    assert edit(client, photo, score=1).info.scores == scored.info.scores, "the same every time"


def test_the_unary_endpoint_scores_too(client, photo):
    answer = client.edit_one(photo, SENTENCE, precision="bf16", seed=1, score=1)
    assert answer.info.scores is not None
