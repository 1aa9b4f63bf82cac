"""Comparisons in pairs: both orders, ties, strengths and their intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest

import suite_data
from fake_judge import FakeJudge, pictures_of
from retouch_clients.evaluation.answers import Answers, ask_all
from retouch_clients.evaluation.bradley_terry import ELO, Outcome, compare, strengths
from retouch_clients.evaluation.judge import Judge
from retouch_clients.evaluation.pairwise import (
    Side,
    outcomes,
    pairs,
    questions,
    side_of_folder,
)
from retouch_clients.evaluation.suites import SUITES, SuiteError

SUITE = SUITES["imgedit"]
BLUE, RED = (20, 20, 220), (220, 20, 20)


@pytest.fixture()
def items(tmp_path):
    return SUITE.read(suite_data.imgedit(tmp_path / "data"), tmp_path)


def side(folder, items, colour, repeats=1):
    folders = [folder / f"seed{repeat}" for repeat in range(repeats)]
    for path in folders:
        for item in items:
            suite_data.picture(path / SUITE.result(item), colour)
    return Side(folder.name, tuple(folders))


@pytest.fixture()
def sides(tmp_path, items):
    return side(tmp_path / "bf16", items, BLUE), side(tmp_path / "fp8", items, RED)


def winners_of(compared, *answers):
    """The outcomes where the judge says these words, pair by pair, in both orders."""
    replies = iter(answers)
    values = {
        (pair.name(is_swapped), pair.item.name): {"better": word}
        for pair in compared
        for is_swapped in (False, True)
        if (word := next(replies)) is not None
    }
    return [outcome.winner for outcome in outcomes(compared, Answers(values=values))]


def test_both_orders_are_asked(sides, items):
    compared = pairs(SUITE, items, sides)
    asked = questions(SUITE, compared)
    assert len(compared) == 3 and len(asked) == 6
    straight, swapped = (question.question.pictures for question in asked[:2])
    assert straight[0].path == swapped[0].path == items[0].image
    assert [picture.path.parent.parent.name for picture in straight[1:]] == ["bf16", "fp8"]
    assert [picture.path.parent.parent.name for picture in swapped[1:]] == ["fp8", "bf16"]
    assert len({question.method for question in asked}) == 2


@pytest.mark.parametrize(
    "straight, swapped, winner",
    [
        ("first", "second", "bf16"),
        ("second", "first", "fp8"),
        ("first", "first", None),
        ("second", "second", None),
        ("tie", "tie", None),
        ("first", "tie", None),
        ("tie", "first", None),
    ],
)
def test_disagreement_is_a_tie(sides, items, straight, swapped, winner):
    assert winners_of(pairs(SUITE, items[:1], sides), straight, swapped) == [winner]


def test_an_order_without_an_answer_leaves_the_pair_out(sides, items):
    compared = pairs(SUITE, items, sides)
    assert winners_of(compared, "first", None, None, "second", "second", "first") == ["fp8"]


def test_only_items_that_both_have_are_compared(sides, items, tmp_path):
    (tmp_path / "fp8" / "seed0" / SUITE.result(items[1])).unlink()
    assert [pair.item for pair in pairs(SUITE, items, sides)] == [items[0], items[2]]


def test_repeats_are_compared_with_each_other(items, tmp_path):
    both = side(tmp_path / "a", items, BLUE, 3), side(tmp_path / "b", items, RED, 2)
    compared = pairs(SUITE, items, both)
    assert {pair.repeat for pair in compared} == {0, 1} and len(compared) == 6
    assert len({pair.name(False) for pair in compared}) == 2


def test_a_judge_that_prefers_the_first_place_makes_ties(sides, items, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    compared = pairs(SUITE, items, sides)
    with FakeJudge(lambda body: '{"better": "first"}') as fake:
        answers = ask_all(Judge(fake.url, "m"), questions(SUITE, compared), tmp_path / "o", 2)
        assert {len(pictures_of(body)) for body in fake.requests} == {3}
    assert [outcome.winner for outcome in outcomes(compared, answers)] == [None] * 3


def test_folders_of_results(items, tmp_path):
    one = side(tmp_path / "out" / "results", items, BLUE, repeats=2)
    assert side_of_folder(SUITE, one.folders[1], items).folders == (one.folders[1],)
    for folder in (tmp_path / "out", tmp_path / "out" / "results"):
        assert side_of_folder(SUITE, folder, items).folders == one.folders
    (tmp_path / "empty").mkdir()
    with pytest.raises(SuiteError, match="no results of ImgEdit-Bench.*1082.png"):
        side_of_folder(SUITE, tmp_path / "empty", items)


# -- strengths -------------------------------------------------------------------------------------


def games(first, second, won, tied, lost):
    """Outcomes of `first` against `second`, each on an item of its own."""
    winners = [first] * won + [None] * tied + [second] * lost
    return [
        Outcome(f"{first}{second}{number}", first, second, winner)
        for number, winner in enumerate(winners)
    ]


def test_two_methods_have_the_odds_of_their_wins():
    (result,) = compare(["a", "b"], games("a", "b", won=30, tied=0, lost=69))
    assert (result.wins, result.ties, result.losses) == (69, 0, 30)
    assert result.share.value == pytest.approx(69 / 99)
    # with the one tie that each pair gets
    assert result.elo.value == pytest.approx(ELO * math.log(69.5 / 30.5), abs=1e-3)


def test_ties_are_halves():
    (result,) = compare(["a", "b"], games("a", "b", won=2, tied=6, lost=2))
    assert result.share.value == 0.5 and result.elo.value == pytest.approx(0, abs=1e-6)
    assert result.ties == 6


def test_a_method_that_never_loses_has_a_finite_strength():
    (result,) = compare(["a", "b"], games("a", "b", won=0, tied=0, lost=10))
    assert result.share.value == 1 and 0 < result.elo.value < 1000
    assert math.isfinite(result.elo.high)


def test_strengths_come_back_from_expected_wins():
    truth = np.array([0.0, 0.7, -0.4])
    odds = np.exp(truth)
    share = odds[:, None] / (odds[:, None] + odds[None, :])
    wins = 1e6 * (share - np.diag(np.diag(share)))
    assert strengths(wins) == pytest.approx(truth, abs=1e-4)
    assert strengths(np.stack([wins, wins]))[1] == pytest.approx(truth, abs=1e-4)


def test_strengths_reach_over_a_common_baseline():
    outcomes_ = games("a", "b", 40, 0, 60) + games("a", "c", 60, 0, 40)
    better, worse = compare(["a", "b", "c"], outcomes_)
    assert better.elo.value > 0 > worse.elo.value
    assert better.elo.value == pytest.approx(-worse.elo.value, abs=1e-3)


def test_intervals_hold_the_value_and_shrink_with_data():
    few, many = (compare(["a", "b"], games("a", "b", 4 * n, 0, 6 * n))[0] for n in (2, 50))
    for result in (few, many):
        assert result.share.low < result.share.value < result.share.high
        assert result.elo.low < result.elo.value < result.elo.high
    assert many.share.high - many.share.low < (few.share.high - few.share.low) / 3
    # about two standard errors of a share of 0.6 over 500 games
    assert many.share.high - many.share.low == pytest.approx(
        2 * 1.96 * math.sqrt(0.24 / 500), rel=0.15
    )


def test_intervals_are_the_same_each_time():
    outcomes_ = games("a", "b", 4, 3, 5)
    assert compare(["a", "b"], outcomes_) == compare(["a", "b"], outcomes_)


def test_repeats_of_an_item_are_drawn_together():
    """Ten copies of each item hold no more evidence than one."""
    single = games("a", "b", 4, 0, 6)
    assert compare(["a", "b"], single * 10)[0].share == compare(["a", "b"], single)[0].share


def test_without_outcomes_there_is_no_share():
    (result,) = compare(["a", "b"], [])
    assert math.isnan(result.share.value) and math.isnan(result.elo.low)
    assert result.wins == result.ties == result.losses == 0
