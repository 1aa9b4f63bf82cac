"""The store of feedback, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from postgres_server import postgres
from retouch_clients.feedback.database import Database, url_of
from retouch_clients.feedback.errors import (
    ForeignAnswer,
    OtherFeedback,
    StoreUnavailable,
    TooMuchFeedback,
    UnknownAnswer,
)
from retouch_clients.feedback.records import MAX_FEEDBACK, Answer, Feedback, KeptImage, Recorded
from retouch_clients.feedback.store import Store
from retouch_clients.feedback.tables import METADATA

ANSWER = Answer(
    id="1",
    request_id="req_1",
    number=0,
    owner="somebody",
    made_at=100.0,
    model="retouch",
    lane="bf16",
    checkpoint="0123456789ab",
    seed=2**63 - 1,
    steps=3,
    source_sha256="0" * 64,
    answer_sha256="1" * 64,
    operations=[{"op": "recolour", "target": "circle ⭕", "value": "blue", "box": None}],
    scores={"score": 0.75},
    versions={"evaluator": "1"},
)
FEEDBACK = Feedback("req_1", 1.0, "up", "it’s what I asked for 🎉\n\"'\\%;--", owner="somebody")


@pytest.fixture(scope="module")
def server():
    with (
        tempfile.TemporaryDirectory(prefix="retouch-postgres-") as folder,
        postgres(Path(folder)) as running,
    ):
        yield running


@pytest.fixture(params=["sqlite", "postgres"])
def address(request, tmp_path):
    if request.param == "sqlite":
        return str(tmp_path / "feedback.db")
    url = request.getfixturevalue("server").url
    database = Database(url_of(url))
    METADATA.drop_all(database._engine)
    database.close()
    return url


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(address, clock):
    opened = Store(Database(url_of(address)), clock)
    yield opened
    opened.close()


def test_what_is_stored_is_read_again(store):
    store.add([Recorded(ANSWER)])
    receipt = store.give(FEEDBACK)
    (labelled,) = store.labelled()
    assert labelled.answer == ANSWER
    assert (labelled.score, labelled.reason) == (1.0, FEEDBACK.reason)
    assert (receipt.given_at, receipt.repeated) == (1000.0, False)
    assert store.counts() == (1, 1)


def test_answers_are_stored_once(store):
    store.add([Recorded(ANSWER)])
    store.add([Recorded(replace(ANSWER, seed=1)), Recorded(replace(ANSWER, id="2", number=1))])
    store.give(FEEDBACK)
    assert store.counts() == (2, 1) and store.labelled()[0].answer.seed == ANSWER.seed


def test_the_same_feedback_is_stored_once(store, clock):
    store.add([Recorded(ANSWER)])
    first = store.give(FEEDBACK)
    clock.now = 2000.0
    assert store.give(FEEDBACK) == replace(first, repeated=True)
    for change in ({"score": 0.9}, {"thumb": None}, {"reason": ""}):
        with pytest.raises(OtherFeedback, match="idempotency key"):
            store.give(replace(FEEDBACK, **change))
    assert store.counts() == (1, 1)


def test_another_idempotency_key_adds_and_the_newest_counts(store, clock):
    store.add([Recorded(ANSWER)])
    store.give(FEEDBACK)
    clock.now = 2000.0
    store.give(replace(FEEDBACK, score=0.0, thumb="down", idempotency_key="b"))
    assert [entry.score for entry in store.labelled()] == [0.0]
    for number in range(2, MAX_FEEDBACK):
        store.give(replace(FEEDBACK, idempotency_key=str(number)))
    with pytest.raises(TooMuchFeedback, match=str(MAX_FEEDBACK)):
        store.give(replace(FEEDBACK, idempotency_key="one more"))
    assert store.counts() == (1, MAX_FEEDBACK)


def test_whose_answer_it_is(store):
    store.add([Recorded(ANSWER)])
    with pytest.raises(ForeignAnswer):
        store.give(replace(FEEDBACK, owner=""))
    with pytest.raises(UnknownAnswer):
        store.give(replace(FEEDBACK, request_id="req_2"))
    with pytest.raises(UnknownAnswer, match="number 1"):
        store.give(replace(FEEDBACK, number=1))
    assert store.counts() == (1, 0)


def test_an_id_that_is_used_again_stands_for_the_newest_answer(store):
    store.add([Recorded(replace(ANSWER, id=str(at), made_at=at, seed=at)) for at in (7, 9, 8)])
    store.give(FEEDBACK)
    assert store.labelled()[0].answer.seed == 9


def test_images_are_kept_for_a_time(store, clock):
    images = (KeptImage("1", "source", b"\x00\xff", 1500.0), KeptImage("1", "answer", b"b", 1600.0))
    store.add([Recorded(ANSWER, images)])
    assert {image.kind: image.data for image in store.images("req_1")} == {
        "source": b"\x00\xff",
        "answer": b"b",
    }
    clock.now = 1500.0
    assert [image.kind for image in store.images("req_1")] == ["answer"]
    assert (store.expire(), store.expire()) == (1, 0)
    clock.now = 1600.0
    assert store.images("req_1") == [] and store.expire() == 1
    assert store.counts() == (1, 0)


def test_a_request_is_deleted(store):
    image = KeptImage("1", "source", b"a", 5000.0)
    store.add([Recorded(ANSWER, (image,)), Recorded(replace(ANSWER, id="2", number=1))])
    store.add([Recorded(replace(ANSWER, id="3", request_id="req_3"))])
    store.give(FEEDBACK)
    store.give(replace(FEEDBACK, request_id="req_3"))
    done = store.delete("req_1")
    assert (done.answers, done.feedback, done.images) == (2, 1, 1)
    assert store.counts() == (1, 1) and store.images("req_1") == []
    assert store.delete("req_1").answers == 0
    with pytest.raises(UnknownAnswer):
        store.give(FEEDBACK)


def test_what_is_deleted_is_not_in_sqlites_files(tmp_path):
    path = tmp_path / "feedback.db"
    store = Store(Database(url_of(str(path))))
    image = KeptImage("1", "source", b"a face that is nobody's business", 1e10)
    store.add([Recorded(ANSWER, (image,))])
    store.give(replace(FEEDBACK, reason="a reason that is nobody's business"))

    def stored() -> bytes:
        return b"".join(file.read_bytes() for file in sorted(tmp_path.iterdir()))

    assert stored().count(b"nobody's business") >= 2
    store.delete("req_1")
    assert b"nobody's business" not in stored()
    store.close()


def test_threads_that_say_the_same_store_it_once(store):
    store.add([Recorded(ANSWER)])
    with ThreadPoolExecutor(8) as threads:
        receipts = list(threads.map(lambda _: store.give(FEEDBACK), range(32)))
    assert len({receipt.id for receipt in receipts}) == 1
    assert [receipt.repeated for receipt in receipts].count(False) == 1
    assert store.counts() == (1, 1)


def test_threads_that_say_different_things_store_one(store):
    store.add([Recorded(ANSWER)])

    def give(score):
        try:
            return store.give(replace(FEEDBACK, score=score)).repeated
        except OtherFeedback:
            return None

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(give, [index / 32 for index in range(32)]))
    assert outcomes.count(False) == 1 and outcomes.count(None) == 31
    assert store.counts() == (1, 1)


def test_processes_make_the_tables_once(address):
    stores = [Store(Database(url_of(address))) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(Store.prepare, stores))
    assert stores[0].counts() == (0, 0)
    for store in stores:
        store.close()


WRITER = f"""
import sys
from dataclasses import replace
from retouch_clients.feedback.database import Database, url_of
from retouch_clients.feedback.records import Answer, Feedback, Recorded
from retouch_clients.feedback.store import Store
store = Store(Database(url_of(sys.argv[1])))
for number in range(100_000):
    name = "crash-" + str(number)
    store.add([Recorded(replace({ANSWER!r}, id=name, request_id=name))])
    store.give(replace({FEEDBACK!r}, request_id=name))
    print(name, flush=True)
"""


def test_what_a_killed_process_acknowledged_is_there(address, store):
    paths = os.pathsep.join(filter(None, sys.path))
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, address],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    acknowledged = [writer.stdout.readline().strip() for _ in range(5)]
    os.kill(writer.pid, signal.SIGKILL)
    acknowledged += writer.stdout.read().split()
    writer.wait()
    writer.stdout.close()
    stored = {entry.answer.request_id for entry in store.labelled()}
    assert len(acknowledged) >= 5 and set(acknowledged) <= stored
    for name in acknowledged[-3:]:
        assert store.give(replace(FEEDBACK, request_id=name)).repeated


def test_a_postgres_that_stops_for_a_while(server):
    store = Store(Database(url_of(server.url)))
    store.delete("req_1")
    store.add([Recorded(ANSWER)])
    receipt = store.give(FEEDBACK)
    server.stop("immediate")
    with pytest.raises(StoreUnavailable, match="the store of feedback fails"):
        store.give(FEEDBACK)
    server.start()
    assert store.give(FEEDBACK) == replace(receipt, repeated=True)
    store.close()


def test_a_full_disk_is_a_store_that_is_down(tmp_path):
    database = Database(url_of(str(tmp_path / "feedback.db")))
    store = Store(database)
    store.add([Recorded(ANSWER)])
    with database._engine.connect() as connection:  # the one that the pool hands out next
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        connection.execute(text(f"PRAGMA max_page_count={pages}"))
    large = KeptImage("9", "source", bytes(1 << 20), 1e10)
    with pytest.raises(StoreUnavailable, match="full"):
        store.add([Recorded(replace(ANSWER, id="9"), (large,))])
    assert store.counts() == (1, 0)
    store.close()


@pytest.mark.parametrize("address", ["", "mysql://host/x", "http://host"])
def test_addresses_that_are_no_store(address):
    with pytest.raises(ValueError, match="pass"):
        url_of(address)


def test_a_file_that_is_no_database(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("this is not a database, and stays as it is" * 30)
    before = path.read_bytes()
    with pytest.raises(StoreUnavailable, match="not a database"):
        Store(Database(url_of(str(path)))).prepare()
    assert path.read_bytes() == before
