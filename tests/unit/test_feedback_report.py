"""How scores relate to feedback, thresholds as a proposal, and the commands for it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import binomtest

from retouch_clients.command import retouch
from retouch_clients.feedback.agreement import Group, agreement, groups
from retouch_clients.feedback.database import Database, url_of
from retouch_clients.feedback.records import Answer, Feedback, Labelled, Recorded
from retouch_clients.feedback.reliability_svg import reliability_svg
from retouch_clients.feedback.store import Store
from retouch_clients.feedback.thresholds import fitted, lower_bound, upper_bound

ANSWER = Answer("", "", 0, "", 1.0, "retouch", "bf16", "abc", 1, 3, "0", "1")


def labelled(good, bad, spread=0.1, lane="bf16", evaluator="1"):
    """Answers with scores around 0.8 and 0.3."""
    draw = np.random.default_rng(good + bad)
    scores = [*draw.normal(0.8, spread, good), *draw.normal(0.3, spread, bad)]
    return [
        Labelled(
            replace(
                ANSWER,
                id=f"{lane}-{evaluator}-{number}",
                request_id=f"{lane}-{evaluator}-{number}",
                lane=lane,
                scores={"score": float(np.clip(score, 0, 1))},
                versions={"evaluator": evaluator},
            ),
            float(number < good),
            "",
            2.0,
        )
        for number, score in enumerate(scores)
    ]


def group(entries):
    return Group("bf16", "1", entries)


def test_scores_that_tell_good_from_bad():
    figures = agreement(group(labelled(150, 100)), "score")
    assert (figures.labels, figures.good, figures.bad, figures.mean) == (250, 150, 100, 0.6)
    assert figures.auc.low <= figures.auc.value <= figures.auc.high
    assert figures.auc.value > 0.99 and figures.spearman > 0.8 and figures.spearman_p < 1e-6
    assert figures.brier_calibrated < figures.brier
    goods = [good for _, good in figures.calibration]
    assert goods == sorted(goods) and goods[0] == 0 and goods[-1] == 1
    assert sum(entry.count for entry in figures.bins) == 250
    assert figures.notes == []


def test_scores_that_tell_nothing():
    draw = np.random.default_rng(0)
    entries = [
        replace(entry, answer=replace(entry.answer, scores={"score": float(draw.uniform())}))
        for entry in labelled(150, 150)
    ]
    figures = agreement(group(entries), "score")
    assert figures.auc.low < 0.5 < figures.auc.high and abs(figures.spearman) < 0.15


def test_the_auc_is_the_share_of_pairs_in_order():
    entries = labelled(11, 13, spread=0.4)
    good = [entry.answer.scores["score"] for entry in entries if entry.score]
    bad = [entry.answer.scores["score"] for entry in entries if not entry.score]
    pairs = [(one > other) + 0.5 * (one == other) for one in good for other in bad]
    figures = agreement(group(entries), "score")
    assert figures.auc.value == pytest.approx(sum(pairs) / len(pairs))


def test_too_few_labels_give_no_figures():
    few = agreement(group(labelled(9, 100)), "score")
    assert few.auc is None and few.calibration == []
    assert "AUC: 9 good and 100 bad answers have a score; 10 of each needed" in few.notes
    none = agreement(group(labelled(30, 30)), "another score")
    assert (none.feedback, none.labels, none.bins) == (60, 0, [])
    assert none.auc is none.spearman is none.brier is None and len(none.notes) == 3
    assert none.mean == 0.5
    same = agreement(group(labelled(50, 0)), "score")
    assert same.spearman is None


def test_scores_beyond_a_share_have_no_bins():
    entries = [
        replace(entry, answer=replace(entry.answer, scores={"score": 100 * number}))
        for number, entry in enumerate(labelled(120, 120))
    ]
    figures = agreement(group(entries), "score")
    assert figures.bins == [] and figures.brier is None and figures.brier_calibrated is not None


def test_lanes_and_evaluators_are_apart():
    entries = [*labelled(3, 2), *labelled(1, 1, lane="fp4"), *labelled(1, 0, evaluator="2")]
    assert [(entry.lane, entry.evaluator, len(entry.labelled)) for entry in groups(entries)] == [
        ("bf16", "1", 5),
        ("bf16", "2", 1),
        ("fp4", "1", 2),
    ]


@pytest.mark.parametrize("count, total", [(0, 7), (3, 7), (7, 7), (203, 208), (5, 523)])
def test_bounds_are_those_of_the_binomial_test(count, total):
    less = binomtest(count, total, alternative="greater").proportion_ci(0.95, "exact").low
    more = binomtest(count, total, alternative="less").proportion_ci(0.95, "exact").high
    assert lower_bound(count, total) == pytest.approx(less)
    assert upper_bound(count, total) == pytest.approx(more)


def test_thresholds_are_certified_on_the_other_half():
    proposed = fitted(group(labelled(1200, 500)), "score")
    assert proposed.is_certified and proposed.notes == []
    assert 0.3 < proposed.accept < 0.8 and proposed.reject <= proposed.accept
    assert (proposed.recall.total, proposed.false_alarms.total) == (250, 600)
    assert proposed.recall.bound >= 0.95 and proposed.false_alarms.bound <= 0.02
    assert proposed.review < 0.1


def test_few_labels_give_a_point_estimate_or_nothing():
    some = fitted(group(labelled(60, 60)), "score")
    assert some.accept is not None and not some.is_certified
    assert "point estimate" in some.notes[0]
    few = fitted(group(labelled(60, 19)), "score")
    assert few.accept is few.reject is few.recall is None and not few.is_certified


def test_scores_that_tell_nothing_leave_all_for_review():
    entries = labelled(1200, 500)
    same = [
        replace(entry, answer=replace(entry.answer, scores={"score": 0.5})) for entry in entries
    ]
    proposed = fitted(group(same), "score")
    assert proposed.review == 1.0 and proposed.false_alarms.count == 0


def test_the_plot_is_named_and_escaped():
    figures = replace(agreement(group(labelled(150, 100)), "score"), lane="<a>&\"'")
    picture = reliability_svg(figures)
    assert "&lt;a&gt;&amp;" in picture and "<a>" not in picture
    assert 'role="img"' in picture and picture.count("<circle") == len(figures.bins)


@pytest.fixture
def store(tmp_path):
    path = str(tmp_path / "feedback.db")
    opened = Store(Database(url_of(path)))
    opened.add([Recorded(entry.answer) for entry in labelled(30, 30)])
    for entry in labelled(30, 30):
        opened.give(Feedback(entry.answer.request_id, entry.score))
    opened.close()
    return path


def run(*arguments):
    return CliRunner().invoke(retouch, ["feedback", *map(str, arguments)])


def test_the_report(store, tmp_path):
    page, proposal = tmp_path / "report.html", tmp_path / "proposal.json"
    done = run("report", "--store", store, "--out", page, "--propose", proposal)
    assert done.exit_code == 0, done.output
    assert "60 answers, 60 feedbacks" in done.output and "nothing applies it" in done.output
    assert "bf16: calibration: 60 answers have a score; 200 of both kinds needed." in done.output
    assert "<svg" in page.read_text() and "no random sample" in page.read_text()
    content = json.loads(proposal.read_text())
    (lane,) = content["lanes"]
    assert (content["kind"], lane["lane"], lane["evaluator"]) == (
        "proposal of thresholds",
        "bf16",
        "1",
    )
    assert (lane["good"], lane["bad"], lane["is_certified"]) == (30, 30, False)
    assert lane["recall"]["total"] == lane["false_alarms"]["total"] == 15
    assert len(content["data_sha256"]) == 64


def test_a_report_of_nothing(tmp_path):
    opened = Store(Database(url_of(str(tmp_path / "empty.db"))))
    opened.prepare()
    opened.close()
    done = run("report", "--store", tmp_path / "empty.db", "--propose", tmp_path / "proposal.json")
    assert done.exit_code == 0 and "0 answers, 0 feedbacks" in done.output
    assert json.loads((tmp_path / "proposal.json").read_text())["lanes"] == []


def test_deletion(store):
    assert (
        "deleted: 1 answers, 1 feedbacks, 0 images"
        in run("delete", "bf16-1-0", "--store", store).output
    )
    again = run("delete", "bf16-1-0", "--store", store)
    assert again.exit_code == 1 and "there is no answer bf16-1-0" in again.stderr


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["report", "--store", "nowhere.db"], "there is no store"),
        (["report", "--store", "mysql://host/x"], "mysql is not supported"),
        (["report"], "--store"),
        (["send", "a"], "pass either --thumb or --score"),
        (["send", "a", "--thumb", "up", "--score", "1"], "pass either --thumb or --score"),
        (["send", "a", "--score", "1.5"], "range"),
    ],
)
def test_usage(arguments, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.exit_code == 2 and sentence in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there():
    done = run("send", "a", "--thumb", "up", "--url", "http://127.0.0.1:1/v1")
    assert done.exit_code == 4 and "no server answers at http://127.0.0.1:1/v1" in done.stderr
