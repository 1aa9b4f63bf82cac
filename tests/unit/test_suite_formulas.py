"""The suites' formulas on scores made by hand, and the spread over repeats."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from retouch_clients.evaluation.answers import Answers
from retouch_clients.evaluation.item import Item
from retouch_clients.evaluation.scoring import score, spreads
from retouch_clients.evaluation.suites import SUITES
from retouch_clients.evaluation.suites.base import Figure

RISE, GEDIT, IMGEDIT, KRIS = (SUITES[name] for name in ("rise", "gedit", "imgedit", "kris"))


def item(name, group, **details):
    return Item(name, group, "make it so", Path("image.png"), details=details)


def figures(suite, pairs):
    return {figure.name: figure for figure in suite.figures(pairs)}


# -- RISEBench -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "consistency, reasoning, plausibility, expected, accuracy",
    [
        (5, 5, 5, 5.0, 1),
        (5, 5, 4, 4.8, 0),
        (4, 3, 5, 0.3 * 4 + 0.5 * 3 + 0.2 * 5, 0),
        (5, 1, 5, (0.3 * 5 + 0.5 + 0.2 * 5) / 2, 0),
        (1, 1, 1, 1.0, 0),
    ],
)
def test_rise_weighs_three_parts(consistency, reasoning, plausibility, expected, accuracy):
    values = {"consistency": consistency, "reasoning": reasoning, "plausibility": plausibility}
    scores = RISE.scores(item("t", "temporal_reasoning"), values)
    assert scores["score"] == pytest.approx(expected) and scores["accuracy"] == accuracy


def test_rise_without_consistency():
    free = item("c", "causal_reasoning", consistency_free=1)
    scores = RISE.scores(free, {"reasoning": 4, "plausibility": 2})
    assert scores["score"] == pytest.approx(0.8 * 4 + 0.2 * 2)
    assert RISE.scores(free, {"reasoning": 5, "plausibility": 5})["accuracy"] == 1


@pytest.mark.parametrize(
    "consistency, reasoning, expected, accuracy",
    [(1, 1, 5.0, 1), (0, 1, 0.3 + 0.7 * 5, 0), (1, 0, max((1.5 + 0.7) / 2, 1), 0), (0, 0, 1.0, 0)],
)
def test_rise_logic_is_right_or_wrong(consistency, reasoning, expected, accuracy):
    values = {"consistency": consistency, "reasoning": reasoning}
    scores = RISE.scores(item("l", "logical_reasoning"), values)
    assert scores["score"] == pytest.approx(expected) and scores["accuracy"] == accuracy


def test_rise_figures_are_percent():
    pairs = []
    for name, group, values in (
        ("a", "temporal_reasoning", {"consistency": 5, "reasoning": 5, "plausibility": 5}),
        ("b", "temporal_reasoning", {"consistency": 3, "reasoning": 3, "plausibility": 3}),
        ("c", "logical_reasoning", {"consistency": 1, "reasoning": 1}),
        ("d", "logical_reasoning", {"consistency": 0, "reasoning": 0}),
    ):
        pairs.append((item(name, group), RISE.scores(item(name, group), values)))
    result = figures(RISE, pairs)
    assert result["accuracy, %"] == Figure("accuracy, %", 50.0, 4)
    assert result["score, %"].value == pytest.approx((100 + 50 + 100 + 0) / 4)
    assert result["plausibility, %"] == Figure("plausibility, %", 75.0, 2)
    assert result["temporal_reasoning: score, %"].value == pytest.approx(75)
    assert result["logical_reasoning: accuracy, %"].value == 50
    assert next(iter(result)) == "accuracy, %"


# -- GEdit-Bench -----------------------------------------------------------------------------------


def gedit(task, language, success, restraint, natural, clean, common=False):
    row = item(
        f"{task}/{language}/{success}{restraint}{natural}{clean}",
        task,
        instruction_language=language,
        Intersection_exist=common,
    )
    values = {"success": success, "restraint": restraint, "natural": natural, "clean": clean}
    return row, GEDIT.scores(row, values)


def test_gedit_takes_the_least_of_each_pair():
    _, scores = gedit("style_change", "en", 9, 4, 9, 10)
    assert (scores["consistency"], scores["quality"]) == (4, 9)
    assert scores["overall"] == pytest.approx(6)
    assert gedit("style_change", "en", 0, 10, 9, 9)[1]["overall"] == 0


def test_gedit_means_are_over_tasks():
    pairs = [
        gedit("color_alter", "en", 4, 4, 4, 4),
        gedit("color_alter", "en", 8, 8, 8, 8, common=True),
        gedit("text_change", "en", 1, 1, 1, 1),
        gedit("text_change", "cn", 9, 9, 9, 9),
    ]
    result = figures(GEDIT, pairs)
    assert result["G_O EN"] == Figure("G_O EN", pytest.approx((6 + 1) / 2), 3)
    assert result["G_O CN"].value == pytest.approx(9)
    assert result["G_O EN, intersection"].value == pytest.approx(8)
    assert "G_O CN, intersection" not in result
    assert result["text_change: O"].value == pytest.approx(5)


def test_gedit_roots_each_picture_before_the_mean():
    result = figures(GEDIT, [gedit("a", "en", 4, 4, 9, 9), gedit("a", "en", 10, 10, 0, 10)])
    assert result["G_O EN"].value == pytest.approx(3)
    assert result["G_SC EN"].value == pytest.approx(7)
    assert result["G_PQ EN"].value == pytest.approx(4.5)
    assert not math.isclose(math.sqrt(7 * 4.5), 3)


# -- ImgEdit-Bench ---------------------------------------------------------------------------------


def test_imgedit_means_are_over_types():
    pairs = []
    for name, kind, values in (
        ("1", "add", (5, 4, 3)),
        ("2", "add", (2, 2, 2)),
        ("3", "style", (5, 5, 5)),
    ):
        row = item(name, kind)
        pairs.append((row, IMGEDIT.scores(row, dict(zip(("followed", "made", "kept"), values)))))
    result = figures(IMGEDIT, pairs)
    assert result["add"].value == pytest.approx(3) and result["style"].value == 5
    assert result["overall"] == Figure("overall", pytest.approx(4), 3)
    assert result["followed"].value == pytest.approx(4)


# -- KRIS-Bench ------------------------------------------------------------------------------------


def test_kris_means_are_of_the_parts_that_apply():
    known, plain = item("biology/1", "biology"), item("object_count/1", "object_count")
    pairs = [
        (
            known,
            KRIS.scores(known, {"consistency": 5, "instruction": 4, "knowledge": 2, "quality": 5}),
        ),
        (plain, KRIS.scores(plain, {"consistency": 3, "instruction": 3, "quality": 3})),
    ]
    result = figures(KRIS, pairs)
    assert result["overall"].value == pytest.approx((4 + 3) / 2)
    assert result["knowledge"] == Figure("knowledge", 2.0, 1)
    assert result["biology"].value == 4 and result["object_count"].value == 3


# -- repeats ---------------------------------------------------------------------------------------


def test_repeats_stand_side_by_side():
    one, two, three = ([Figure("o", value, 9)] for value in (1.0, 2.0, 6.0))
    (spread,) = spreads([one, two, three])
    assert (spread.values, spread.counts, spread.mean) == ((1.0, 2.0, 6.0), (9, 9, 9), 3.0)
    assert spread.deviation == pytest.approx(math.sqrt(7))
    (single,) = spreads([one])
    assert single.deviation is None
    assert spreads([[Figure("o", None, 0)], one])[0].values == (1.0,)


def test_pictures_without_a_readable_answer_are_left_out():
    items = [item("1", "add"), item("2", "add")]
    answers = Answers(
        values={
            ("a", "1"): {"followed": 5.0, "made": 5.0, "kept": 5.0},
            ("b", "1"): {"followed": 1.0, "made": 1.0, "kept": 1.0},
            ("b", "2"): {"followed": 2.0, "made": 2.0, "kept": 2.0},
        }
    )
    scores = score(IMGEDIT, items, ["a", "b"], answers)
    overall = scores.figures[0]
    assert (overall.name, overall.values, overall.counts) == ("overall", (5.0, 1.5), (1, 2))
    assert ("a", "2") not in scores.pictures
