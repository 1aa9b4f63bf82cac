"""How scores relate to feedback, thresholds as a proposal, and the commands for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from retouch.quality.thresholds.file import read_thresholds
from retouch_clients.command import retouch
from retouch_clients.feedback.agreement import Group, agreement, groups
from retouch_clients.feedback.database import Database, url_of
from retouch_clients.feedback.proposal import lines, proposed
from retouch_clients.feedback.records import Answer, Feedback, Labelled, Recorded
from retouch_clients.feedback.reliability_svg import reliability_svg
from retouch_clients.feedback.store import Store

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
                source_sha256=f"{lane}-{evaluator}-{number}",
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


def test_thresholds_are_certified_on_the_other_half():
    thresholds = proposed(labelled(1200, 500), "score", 1e9)
    (entry,) = thresholds.classes
    assert (thresholds.evaluator, thresholds.date) == ("1", "2001-09-09")
    assert 0.3 < entry.accept_from < 0.8 and entry.reject_below <= entry.accept_from
    assert 200 < entry.recall.n < 300 and 540 < entry.false_alarms.n < 660
    assert entry.recall.is_certified and entry.false_alarms.is_certified
    assert "(certified)" in "".join(lines(thresholds))


def test_few_labels_give_a_point_estimate_or_nothing():
    (some,) = proposed(labelled(60, 60), "score", 1e9).classes
    assert not some.recall.is_certified and not some.false_alarms.is_certified
    with pytest.raises(ValueError, match="20 spoiled and 20 good answers"):
        proposed(labelled(60, 19), "score", 1e9)
    with pytest.raises(ValueError, match="no answer with feedback has a score"):
        proposed(labelled(60, 60), "another score", 1e9)


def test_the_evaluator_with_most_answers_is_proposed_for():
    entries = [*labelled(60, 60), *labelled(90, 90, evaluator="2")]
    assert proposed(entries, "score", 1e9).evaluator == "2"


def test_answers_to_one_image_stay_in_one_half():
    same = [
        replace(entry, answer=replace(entry.answer, source_sha256="0"))
        for entry in labelled(60, 60)
    ]
    with pytest.raises(ValueError, match="either half"):
        proposed(same, "score", 1e9)


def test_the_plot_is_named_and_escaped():
    figures = replace(agreement(group(labelled(150, 100)), "score"), lane="<a>&\"'")
    picture = reliability_svg(figures)
    assert "&lt;a&gt;&amp;" in picture and "<a>" not in picture
    assert 'role="img"' in picture and picture.count("<circle") == len(figures.bins)


@pytest.fixture
def store(tmp_path):
    path = str(tmp_path / "feedback.db")
    opened = Store(Database(url_of(path)))
    opened.add([Recorded(entry.answer) for entry in labelled(60, 60)])
    for entry in labelled(60, 60):
        opened.give(Feedback(entry.answer.request_id, entry.score))
    opened.close()
    return path


def run(*arguments):
    return CliRunner().invoke(retouch, ["feedback", *map(str, arguments)])


def test_the_report(store, tmp_path):
    page, proposal = tmp_path / "report.html", tmp_path / "proposal.json"
    done = run("report", "--store", store, "--out", page, "--propose", proposal)
    assert done.exit_code == 0, done.output
    assert "120 answers, 120 feedbacks" in done.output and "nothing applies it" in done.output
    assert "bf16: calibration: 120 answers have a score; 200 of both kinds needed." in done.output
    assert "<svg" in page.read_text() and "no random sample" in page.read_text()
    thresholds = read_thresholds(proposal, "1")
    (entry,) = thresholds.classes
    assert entry.recall.n + entry.false_alarms.n < 120 and len(thresholds.data_sha256) == 64


def test_a_report_of_nothing(tmp_path):
    opened = Store(Database(url_of(str(tmp_path / "empty.db"))))
    opened.prepare()
    opened.close()
    done = run("report", "--store", tmp_path / "empty.db", "--propose", tmp_path / "proposal.json")
    assert done.exit_code == 0 and "0 answers, 0 feedbacks" in done.output
    assert "no proposal: no answer with feedback has a score." in done.output
    assert not (tmp_path / "proposal.json").exists()


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
