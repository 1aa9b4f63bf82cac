"""Answers are recorded beside the edits: a bounded queue, a spool, and a store that fails."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from processes import until
from retouch.api.response import EditInfo, Operation, Scores
from retouch_clients.feedback import recorder
from retouch_clients.feedback.database import Database, url_of
from retouch_clients.feedback.errors import StoreUnavailable
from retouch_clients.feedback.finished_edit import FinishedEdit
from retouch_clients.feedback.metrics import FeedbackMetrics
from retouch_clients.feedback.recorder import Recorder
from retouch_clients.feedback.records import Feedback
from retouch_clients.feedback.spool import Spool, SpoolFull
from retouch_clients.feedback.store import Store

SCORED = ("score", "consistency", "instruction", "plausibility")
INFO = EditInfo(
    "final",
    7,
    "fp8",
    steps=3,
    operations=[Operation("remove", "circle")],
    versions={"checkpoint": "abc", "retouch": "1"},
)


class FailingStore(Store):
    """A store that is down while `is_down`."""

    is_down = False

    def prepare(self):
        self._check()
        super().prepare()

    def add(self, recorded):
        self._check()
        super().add(recorded)

    def expire(self):
        self._check()
        return super().expire()

    def _check(self):
        if self.is_down:
            raise StoreUnavailable("the store of feedback fails: unplugged")


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(recorder, "PAUSE", 0.02)
    opened = FailingStore(Database(url_of(str(tmp_path / "feedback.db"))))
    yield opened
    opened.close()


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "answers.spool")


@pytest.fixture
def begin(store, spool):
    """Starts a recorder, with the values of its metrics by name."""
    begun = []

    def start(**options):
        registry = CollectorRegistry()
        running = Recorder(store, spool, FeedbackMetrics(registry), **options)
        begun.append(running)
        return running, lambda name: registry.get_sample_value(f"retouch_feedback_{name}")

    yield start
    for running in begun:
        running.close()


def edit(request_id, image=b"answer", **values):
    return FinishedEdit(request_id, b"source", image, INFO, 1e9, **values)


def stored(store, request_id):
    return not store.give(Feedback(request_id, 1.0)).repeated


def test_scores_are_recorded_with_their_evaluator():
    scored = replace(INFO, scores=Scores(0.9, 0.8, 0.7, 0.6, "3"))
    answer = FinishedEdit("a", b"source", b"answer", scored, 1e9).recorded().answer
    assert answer.scores["score"] == 0.9 and set(answer.scores) == set(SCORED)
    assert answer.versions["evaluator"] == "3" and "evaluator" not in INFO.versions
    assert edit("a").recorded().answer.scores == {}


def test_what_is_recorded_of_an_answer(store, begin):
    running, _ = begin()
    running.record(edit("a", owner="", model="retouch-fp8", number=2))
    assert running.wait_for("a", 20)
    store.give(Feedback("a", 0.5, number=2))
    answer = store.labelled()[0].answer
    assert (answer.lane, answer.seed, answer.steps, answer.checkpoint) == ("fp8", 7, 3, "abc")
    assert (answer.model, answer.number, answer.made_at) == ("retouch-fp8", 2, 1e9)
    assert answer.source_sha256 == hashlib.sha256(b"source").hexdigest()
    assert answer.answer_sha256 == hashlib.sha256(b"answer").hexdigest()
    assert answer.operations == [{"op": "remove", "target": "circle", "value": "", "box": None}]
    assert store.images("a", 2) == []


def test_images_are_kept_where_the_operator_says_so(store, begin):
    running, value = begin(keep_seconds=1e9)
    running.record(edit("a"))
    assert running.wait_for("a", 20)
    kept = store.images("a")
    assert {image.kind: image.data for image in kept} == {"source": b"source", "answer": b"answer"}
    assert all(image.expires_at == 2e9 for image in kept)


def test_old_images_go_by_themselves(store, begin):
    store.add([edit("a").recorded(keep_seconds=1.0)])
    _, value = begin()
    until(lambda: value("images_expired_total") == 2, "they are deleted")


def test_a_store_that_is_back_has_all_answers(store, spool, begin):
    store.is_down = True
    running, value = begin()
    for number in range(80):  # more than one transaction has
        running.record(edit(str(number)))
    until(lambda: value("answers_spooled_total") == 80, "all are in the spool")
    assert (value("store_up"), value("answers_recorded_total")) == (0, 0)
    assert not running.wait_for("79", 0.01)
    store.is_down = False
    assert running.wait_for("79", 20)
    assert store.counts() == (80, 0) and stored(store, "0") and stored(store, "79")
    until(lambda: value("store_up") == 1, "the store is up")
    assert (value("answers_recorded_total"), value("answers_dropped_total")) == (80, 0)
    assert not spool.has_entries()


def test_what_an_ended_process_left_in_the_spool_is_stored(store, spool, begin):
    store.is_down = True
    running, value = begin()
    running.record(edit("a"))
    running.close()
    assert spool.request_ids() == {"a"}
    with spool.path.open("ab") as file:
        file.write(b'{"answer": {"id": "half a li')  # of a process that was killed
    spool.append([edit("b").recorded()])
    store.is_down = False
    following, _ = begin()
    assert following.wait_for("a", 20)
    assert stored(store, "a") and stored(store, "b")


def test_a_full_queue_drops_and_counts(store, begin, monkeypatch):
    is_held = threading.Event()
    begun = threading.Event()

    def add(recorded):
        begun.set()
        is_held.wait(20)
        Store.add(store, recorded)

    monkeypatch.setattr(store, "add", add)
    running, value = begin(most_edits=3, most_bytes=100)
    running.record(edit("0"))
    assert begun.wait(20)
    running.record(edit("large", bytes(101)))
    for number in range(1, 6):
        running.record(edit(str(number)))
    assert (value("answers_waiting"), value("answers_dropped_total")) == (3, 3)
    is_held.set()
    assert all(running.wait_for(str(number), 20) for number in range(6))
    assert all(stored(store, str(number)) for number in range(4))


def test_a_full_spool_drops_and_counts(store, tmp_path):
    registry = CollectorRegistry()
    store.is_down = True
    small = Spool(tmp_path / "small.spool", most_bytes=10)
    running = Recorder(store, small, FeedbackMetrics(registry))
    running.record(edit("a"))
    until(
        lambda: registry.get_sample_value("retouch_feedback_answers_dropped_total") == 1, "dropped"
    )
    assert running.wait_for("a", 20)
    running.close()
    assert not small.has_entries()


def test_an_answer_that_the_store_does_not_take_keeps_no_other_back(store, begin, monkeypatch):
    is_held = threading.Event()
    prepare = store.prepare
    monkeypatch.setattr(store, "prepare", lambda: (is_held.wait(20), prepare()))
    running, value = begin()
    for edited in (edit("a"), edit("bad", number=None), edit("b")):  # number must not be null
        running.record(edited)
    is_held.set()
    assert running.wait_for("b", 20)
    assert stored(store, "a") and stored(store, "b")
    assert (value("answers_recorded_total"), value("answers_dropped_total")) == (2, 1)


def test_a_spool_keeps_all_when_its_reader_fails(spool):
    recorded = [edit(name).recorded(keep_seconds=5.0) for name in "ab"]
    spool.append(recorded[:1])
    spool.append(recorded[1:])

    def fail(_):
        raise StoreUnavailable("down")

    with pytest.raises(StoreUnavailable):
        spool.drain(fail)
    drained = []
    assert spool.drain(drained.extend) == 2 and drained == recorded
    assert spool.drain(drained.extend) == 0


def test_a_spool_has_a_largest_size(tmp_path):
    recorded = [edit("a").recorded()]
    spool = Spool(tmp_path / "answers.spool", most_bytes=1000)
    spool.append(recorded)
    size = spool.path.stat().st_size
    with pytest.raises(SpoolFull):
        spool.append(recorded)
    assert spool.path.stat().st_size == size
    assert json.loads(spool.path.read_bytes())["answer"]["request_id"] == "a"
    assert spool.path.stat().st_mode & 0o077 == 0
