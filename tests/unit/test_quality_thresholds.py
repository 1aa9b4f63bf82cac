"""Thresholds: chosen on one half, certified on the other, and read only where they are right."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retouch.quality.schema import SettingError
from retouch.quality.thresholds.certify import (
    Scored,
    TooFewAnswersError,
    certify,
    choose,
    is_for_choice,
)
from retouch.quality.thresholds.clopper_pearson import lower_bound, upper_bound
from retouch.quality.thresholds.file import (
    parse_thresholds,
    read_thresholds,
    to_text,
    write_thresholds,
)
from retouch.quality.thresholds.thresholds import (
    ANY,
    ClassThresholds,
    FalseAlarms,
    Recall,
    Thresholds,
)
from training.quality.certify import main

EVALUATOR = "2026.11"
DATE = "2026-11-30"
CLASSES = (
    ClassThresholds(ANY, ANY, 0.3, 0.6, Recall(210, 206), FalseAlarms(530, 3)),
    ClassThresholds("fp4", ANY, 0.2, 0.7, Recall(20, 20), FalseAlarms(20, 0)),
    ClassThresholds("fp4", "remove", 0.1, 0.8, Recall(30, 29), FalseAlarms(30, 1)),
    ClassThresholds(ANY, "recolour", 0.4, 0.4, Recall(60, 60), FalseAlarms(150, 0)),
)
THRESHOLDS = Thresholds(EVALUATOR, DATE, "ab" * 32, CLASSES)


def scored(spoiled, good, lane="bf16", operation="remove", seed=0):
    """Answers of an evaluator whose scores overlap: the spoiled lie about 0.2, the good about
    0.8."""
    rng = np.random.default_rng(seed)
    scores = [*rng.beta(2, 8, spoiled), *rng.beta(8, 2, good)]
    return [
        Scored(f"{lane}-{operation}-{i}", lane, operation, float(score), i < spoiled)
        for i, score in enumerate(scores)
    ]


def changed(change):
    """The text of THRESHOLDS after `change` of its record."""
    record = json.loads(to_text(THRESHOLDS))
    change(record)
    return json.dumps(record)


# -- what holds for an answer ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "lane, operation, index",
    [
        ("fp4", "remove", 2),
        ("fp4", "recolour", 1),
        ("fp8", "recolour", 3),
        ("fp8", "remove", 0),
        ("anything", "else", 0),
    ],
)
def test_the_narrowest_class_holds(lane, operation, index):
    assert THRESHOLDS.find(lane, operation) is CLASSES[index]


def test_no_class_holds_where_none_is_for_all():
    thresholds = Thresholds(EVALUATOR, DATE, "ab" * 32, CLASSES[1:])
    assert thresholds.find("fp8", "remove") is None


def test_counts_certify_or_estimate():
    assert [entry.recall.is_certified for entry in CLASSES] == [True, False, False, True]
    assert [entry.false_alarms.is_certified for entry in CLASSES] == [True, False, False, True]


# -- the file --------------------------------------------------------------------------------------


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "new" / "thresholds.json"
    write_thresholds(THRESHOLDS, path)
    write_thresholds(THRESHOLDS, path)
    assert read_thresholds(path, EVALUATOR) == THRESHOLDS
    assert [file.name for file in path.parent.iterdir()] == ["thresholds.json"]


@pytest.mark.parametrize(
    "change, code, field",
    [
        (lambda file: file.update(evaluator="2026.10"), "OTHER_EVALUATOR", "evaluator"),
        (lambda file: file.update(format=2), "OUT_OF_RANGE", "format"),
        (lambda file: file.update(note="x"), "UNKNOWN_FIELD", "note"),
        (lambda file: file.pop("data_sha256"), "MISSING_FIELD", "data_sha256"),
        (lambda file: file.update(data_sha256="AB" * 32), "OUT_OF_RANGE", "data_sha256"),
        (lambda file: file.update(date="today"), "OUT_OF_RANGE", "date"),
        (lambda file: file.update(confidence="95 %"), "WRONG_TYPE", "confidence"),
        (lambda file: file.update(confidence=0.9), "BOUNDS_DO_NOT_FOLLOW", "classes[0].recall.low"),
        (lambda file: file.update(classes={}), "WRONG_TYPE", "classes"),
        (lambda file: file["classes"].append(3), "WRONG_TYPE", "classes[4]"),
        (lambda file: file["classes"].append(file["classes"][1]), "DUPLICATE", "classes[4]"),
        (
            lambda file: file["classes"][1].update(reject_below=1.5),
            "OUT_OF_RANGE",
            "classes[1].reject_below",
        ),
        (
            lambda file: file["classes"][1].update(accept_from=0.1),
            "OUT_OF_RANGE",
            "classes[1].accept_from",
        ),
        (lambda file: file["classes"][1].update(hue=1), "UNKNOWN_FIELD", "classes[1].hue"),
        (
            lambda file: file["classes"][2]["recall"].update(k=31),
            "OUT_OF_RANGE",
            "classes[2].recall.k",
        ),
        (
            lambda file: file["classes"][2]["recall"].update(k=30),
            "BOUNDS_DO_NOT_FOLLOW",
            "classes[2].recall.low",
        ),
        (
            lambda file: file["classes"][2]["recall"].update(certified=True),
            "BOUNDS_DO_NOT_FOLLOW",
            "classes[2].recall.certified",
        ),
        (
            lambda file: file["classes"][0]["false_alarms"].update(n=10_000),
            "BOUNDS_DO_NOT_FOLLOW",
            "classes[0].false_alarms.high",
        ),
        (
            lambda file: file["classes"][0]["false_alarms"].update(certified=False),
            "BOUNDS_DO_NOT_FOLLOW",
            "classes[0].false_alarms.certified",
        ),
    ],
)
def test_a_file_that_is_wrong_is_refused(change, code, field):
    with pytest.raises(SettingError) as caught:
        parse_thresholds(changed(change), EVALUATOR)
    assert (caught.value.code, caught.value.field) == (code, field)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", (b"", b"[", b"\xff\xfe", b"[" * 100_000, b" " * (5 << 20)))
def test_a_file_that_is_no_json_is_refused_without_its_path(tmp_path, data):
    path = tmp_path / "thresholds.json"
    path.write_bytes(data)
    with pytest.raises(SettingError) as caught:
        read_thresholds(path, EVALUATOR)
    assert caught.value.code == "NOT_READABLE" and str(tmp_path) not in str(caught.value)


def test_a_missing_file_is_refused_without_its_path(tmp_path):
    with pytest.raises(SettingError, match="No such file") as caught:
        read_thresholds(tmp_path / "none.json", EVALUATOR)
    assert caught.value.code == "NOT_READABLE" and str(tmp_path) not in str(caught.value)


@settings(max_examples=60)
@given(st.data())
def test_no_number_of_the_file_can_be_changed_alone(data):
    record = json.loads(to_text(THRESHOLDS))
    entry = data.draw(st.sampled_from(record["classes"]))
    part = entry[data.draw(st.sampled_from(("recall", "false_alarms")))]
    name = data.draw(st.sampled_from(sorted(part)))
    old = part[name]
    if isinstance(old, bool):
        part[name] = not old
    elif isinstance(old, int):
        part[name] = data.draw(st.integers(-5, 1000).filter(lambda value: value != old))
    else:
        part[name] = data.draw(st.floats(-1, 2).filter(lambda value: abs(value - old) > 1e-6))
    with pytest.raises(SettingError):
        parse_thresholds(json.dumps(record), EVALUATOR)


# -- certification ---------------------------------------------------------------------------------


def test_bounds_are_of_the_half_that_did_not_choose():
    answers = scored(700, 2000)
    (entry,) = certify(answers, EVALUATOR, DATE).classes
    held = [answer for answer in answers if not is_for_choice(answer.id)]
    spoiled = [answer.score for answer in held if answer.is_spoiled]
    good = [answer.score for answer in held if not answer.is_spoiled]
    stopped = sum(score < entry.accept_from for score in spoiled)
    alarms = sum(score < entry.reject_below for score in good)
    assert (entry.recall.n, entry.recall.k) == (len(spoiled), stopped)
    assert (entry.false_alarms.n, entry.false_alarms.k) == (len(good), alarms)
    assert entry.recall.low == pytest.approx(lower_bound(stopped, len(spoiled)))
    assert entry.false_alarms.high == pytest.approx(upper_bound(alarms, len(good)))
    assert entry.recall.is_certified and entry.false_alarms.is_certified


def test_the_choice_does_not_see_the_other_half():
    answers = scored(300, 600)
    spoilt = [
        answer
        if is_for_choice(answer.id)
        else Scored(answer.id, answer.lane, answer.operation, 0.5, answer.is_spoiled)
        for answer in answers
    ]
    (before,) = certify(answers, EVALUATOR, DATE).classes
    (after,) = certify(spoilt, EVALUATOR, DATE).classes
    assert (before.reject_below, before.accept_from) == (after.reject_below, after.accept_from)
    assert before.recall != after.recall


def test_the_halves_are_about_equal():
    share = np.mean([is_for_choice(f"photo-{i}") for i in range(4000)])
    assert 0.47 < share < 0.53


def test_few_answers_give_an_estimate_alone():
    (entry,) = certify(scored(60, 60), EVALUATOR, DATE).classes
    assert not entry.recall.is_certified and not entry.false_alarms.is_certified
    assert entry.recall.k / entry.recall.n > 0.8


def test_a_blind_evaluator_leaves_nearly_all_to_review():
    rng = np.random.default_rng(1)
    answers = [
        Scored(str(i), "bf16", "remove", float(score), i % 2 == 0)
        for i, score in enumerate(rng.random(4000))
    ]
    (entry,) = certify(answers, EVALUATOR, DATE).classes
    assert entry.reject_below < 0.05 and entry.accept_from > 0.9


def test_classes_are_of_lanes_and_operations_with_enough_answers():
    answers = [
        *scored(300, 300, "bf16", "remove"),
        *scored(300, 300, "fp4", "recolour", seed=1),
        *scored(5, 300, "fp8", "remove", seed=2),
    ]
    names = [(entry.lane, entry.operation) for entry in certify(answers, EVALUATOR, DATE).classes]
    assert names == [
        (ANY, ANY),
        ("bf16", ANY),
        ("fp4", ANY),
        (ANY, "recolour"),
        (ANY, "remove"),
        ("bf16", "remove"),
        ("fp4", "recolour"),
    ]


def test_the_digest_is_of_the_answers_in_any_order():
    answers = scored(100, 100)
    digest = certify(answers, EVALUATOR, DATE).data_sha256
    assert certify(answers[::-1], EVALUATOR, DATE).data_sha256 == digest
    assert certify(scored(100, 100, seed=1), EVALUATOR, DATE).data_sha256 != digest


def test_a_perfect_evaluator_leaves_nothing_to_review():
    reject_below, accept_from = choose(np.linspace(0, 0.4, 300), np.linspace(0.6, 1, 600))
    assert 0.39 < reject_below == accept_from < 0.61


@settings(max_examples=60)
@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=80),
    st.lists(st.floats(0, 1), min_size=1, max_size=80),
)
def test_thresholds_are_in_order_whatever_the_scores(spoiled, good):
    reject_below, accept_from = choose(np.array(spoiled), np.array(good))
    assert 0 <= reject_below <= accept_from <= 1
    assert sum(score < reject_below - 1e-6 for score in good) <= 0.02 * len(good)


@pytest.mark.parametrize("score", (-0.1, 1.1, float("nan")))
def test_scores_outside_their_range_are_refused(score):
    answers = [Scored("photo", "bf16", "remove", score, True)]
    with pytest.raises(ValueError, match="the score of photo"):
        certify(answers, EVALUATOR, DATE)


def test_too_few_answers_are_refused():
    with pytest.raises(TooFewAnswersError, match="20 spoiled and 20 good"):
        certify(scored(10, 500), EVALUATOR, DATE)


# -- the command -----------------------------------------------------------------------------------


def scores_file(path, answers):
    rows = [
        {
            "id": answer.id,
            "lane": answer.lane,
            "operation": answer.operation,
            "score": answer.score,
            "spoiled": answer.is_spoiled,
        }
        for answer in answers
    ]
    path.write_text(json.dumps({"evaluator": EVALUATOR, "answers": rows}))
    return path


def test_the_command_writes_the_file_and_prints_a_table(tmp_path, capsys):
    scores = scores_file(tmp_path / "scores.json", scored(500, 1500))
    out = tmp_path / "thresholds.json"
    main(["--scores", str(scores), "--out", str(out), "--date", DATE])
    written = read_thresholds(out, EVALUATOR)
    assert written == certify(scored(500, 1500), EVALUATOR, DATE)
    printed = capsys.readouterr().out
    assert f"{written.classes[0].accept_from:.3f}" in printed
    assert str(written.classes[0].recall.n) in printed


@pytest.mark.parametrize(
    "row, message",
    [
        ({"score": 2}, r"answers\[0\].score is 2; it must be from 0 to 1"),
        ({"spoiled": "no"}, r"answers\[0\].spoiled must be true or false, not 'no'"),
        ({"extra": 1}, r"answers\[0\].extra is unknown"),
        ({}, "20 spoiled and 20 good"),
    ],
)
def test_the_command_says_what_is_wrong(tmp_path, row, message):
    scores = scores_file(tmp_path / "scores.json", scored(1, 1))
    record = json.loads(scores.read_text())
    record["answers"][0].update(row)
    scores.write_text(json.dumps(record))
    out = tmp_path / "thresholds.json"
    with pytest.raises(SystemExit) as caught:
        main(["--scores", str(scores), "--out", str(out)])
    assert re.search(message, str(caught.value)) and not out.exists()


@pytest.mark.parametrize("option", (["--least", "0"], ["--date", "today"]))
def test_the_command_refuses_options_out_of_range(tmp_path, option, capsys):
    with pytest.raises(SystemExit):
        main(["--scores", str(tmp_path / "a"), "--out", str(tmp_path / "b"), *option])
    assert f"{option[0]} is {option[1]}" in capsys.readouterr().err
