"""POST /v1/feedback of the OpenAI-compatible server, before a client that stands for the doors."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from fake_doors import FakeDoors
from pictures import file_of, scene
from processes import until
from retouch_clients.feedback import recorder, service
from retouch_clients.feedback.records import MAX_FEEDBACK
from retouch_clients.feedback.settings import Settings
from retouch_clients.openai_api.api_keys import Keys
from retouch_clients.openai_api.app import create_app
from retouch_clients.openai_api.feedback import MAX_BODY_BYTES

PHOTO = file_of(scene(64, 48))
KEYS = {name: {"Authorization": f"Bearer {name}"} for name in ("key-a", "key-b")}


@pytest.fixture
def server(tmp_path):
    settings = Settings(str(tmp_path / "feedback.db"))
    app = create_app(FakeDoors(), Keys.of(KEYS), feedback_settings=settings)
    with TestClient(app) as client:
        yield client


def edited(server, key="key-a", **fields):
    """The request id of an answer."""
    answer = server.post(
        "/v1/images/edits",
        data={"prompt": "make the red circle blue", **fields},
        files={"image": PHOTO},
        headers=KEYS[key],
    )
    assert answer.status_code == 200, answer.text
    return answer.headers["x-request-id"]


def give(server, request_id, key="key-a", **fields):
    body = {"request_id": request_id, **fields}
    return server.post("/v1/feedback", json=body, headers=KEYS[key])


def refused(answer, status, code, param):
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param), error
    return error["message"]


def metric(server, name, **labels):
    return server.app.state.metrics.registry.get_sample_value(name, labels)


def test_an_answer_is_rated_right_after_it_came(server):
    request_id = edited(server)
    stored = give(server, request_id, thumb="up", reason="just as I asked")
    assert stored.status_code == 200, stored.text
    body = stored.json()
    assert (body["object"], body["request_id"], body["index"]) == ("feedback", request_id, 0)
    assert (body["score"], body["repeated"]) == (1.0, False)
    again = give(server, request_id, thumb="up", reason="just as I asked").json()
    assert again == body | {"repeated": True}
    assert metric(server, "retouch_feedback_total", outcome="stored") == 1
    assert metric(server, "retouch_feedback_total", outcome="repeated") == 1
    assert metric(server, "retouch_feedback_answers_recorded_total") == 1
    assert metric(server, "retouch_feedback_store_up") == 1


def test_a_stream_and_several_results_are_rated(server):
    streamed = edited(server, stream="true", partial_images="1")
    assert give(server, streamed, score=0.25).json()["score"] == 0.25
    several = edited(server, n="2")
    assert give(server, several, index=1, thumb="down").json()["index"] == 1
    message = refused(
        give(server, several, index=2, score=1), 404, "answer_not_found", "request_id"
    )
    assert message == f"There is no answer '{several}' number 2."


def test_info_names_the_request(server):
    answer = server.post(
        "/v1/images/edits",
        data={"prompt": "make the red circle blue"},
        files={"image": PHOTO},
        headers=KEYS["key-a"] | {"x-request-id": "order-17"},
    )
    assert answer.json()["data"][0]["retouch"]["request_id"] == "order-17"
    assert give(server, "order-17", score=1).status_code == 200


def test_a_second_one_is_refused_and_another_key_adds_to_it(server):
    request_id = edited(server)
    assert give(server, request_id, thumb="up").status_code == 200
    refused(give(server, request_id, thumb="down"), 409, "feedback_exists", "idempotency_key")
    refused(
        give(server, request_id, thumb="up", reason="more"),
        409,
        "feedback_exists",
        "idempotency_key",
    )
    changed = {"thumb": "down", "idempotency_key": "second thoughts"}
    assert give(server, request_id, **changed).json()["repeated"] is False
    assert give(server, request_id, **changed).json()["repeated"] is True
    for number in range(2, MAX_FEEDBACK):
        added = give(server, request_id, score=1, idempotency_key=str(number))
        assert added.status_code == 200, added.text
    refused(
        give(server, request_id, score=1, idempotency_key="17th"),
        409,
        "too_much_feedback",
        "request_id",
    )


def test_an_answer_of_another_key(server):
    request_id = edited(server, "key-a")
    refused(give(server, request_id, "key-b", score=1), 403, "not_your_answer", "request_id")
    refused(give(server, "req_unknown", "key-b", score=1), 404, "answer_not_found", "request_id")
    nobody = server.post("/v1/feedback", json={"request_id": request_id, "score": 1})
    refused(nobody, 401, "invalid_api_key", None)
    assert metric(server, "retouch_feedback_total", outcome="rejected") == 2


def test_an_id_that_two_keys_chose_belongs_to_both(server):
    for key in KEYS:
        server.post(
            "/v1/images/edits",
            data={"prompt": "make the red circle blue"},
            files={"image": PHOTO},
            headers=KEYS[key] | {"x-request-id": "1"},
        )
    assert give(server, "1", "key-a", thumb="up").json()["repeated"] is False
    assert give(server, "1", "key-b", thumb="down").json()["repeated"] is False


@pytest.mark.parametrize(
    "fields, code, param",
    [
        ({"score": 1.01}, "invalid_value", "score"),
        ({"score": -0.01}, "invalid_value", "score"),
        ({"score": "good"}, "invalid_type", "score"),
        ({"score": True}, "invalid_type", "score"),
        ({"thumb": "sideways"}, "invalid_value", "thumb"),
        ({}, "invalid_value", "score"),
        ({"score": 1, "thumb": "up"}, "invalid_value", "score"),
        ({"score": 1, "reason": "x" * 2001}, "invalid_value", "reason"),
        ({"score": 1, "reason": "a\x00b"}, "invalid_value", "reason"),
        ({"score": 1, "reason": None}, "invalid_type", "reason"),
        ({"score": 1, "idempotency_key": "x" * 129}, "invalid_value", "idempotency_key"),
        ({"score": 1, "index": 10}, "invalid_value", "index"),
        ({"score": 1, "request_id": "a b"}, "invalid_value", "request_id"),
        ({"score": 1, "request_id": ""}, "invalid_value", "request_id"),
        ({"score": 1, "image": "x"}, "unknown_parameter", "image"),
    ],
)
def test_what_is_wrong_is_named(server, fields, code, param):
    message = refused(give(server, **{"request_id": "req_1"} | fields), 400, code, param)
    assert message.endswith(".") and "validation" not in message


@pytest.mark.parametrize(
    "body, code",
    [
        (b"", "invalid_json"),
        (b"[]", "invalid_json"),
        (b'{"request_id": "a", "score": NaN}', "invalid_json"),
        (b'{"request_id": "a", "score": 1, "reason": "\\ud800"}', "invalid_json"),
        (b'{"request_id": "a", "score": 1, "score": 1}', "invalid_value"),
    ],
)
def test_bodies_that_are_no_feedback(server, body, code):
    headers = KEYS["key-a"] | {"content-type": "application/json"}
    answer = server.post("/v1/feedback", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code), answer.text
    form = server.post("/v1/feedback", data={"request_id": "a"}, headers=KEYS["key-a"])
    refused(form, 415, "unsupported_content_type", None)


def test_a_megabyte_of_reason_is_not_read(server):
    taken = 0

    def body():
        nonlocal taken
        yield b'{"request_id": "a", "score": 1, "reason": "'
        for _ in range(1024):
            taken += 1024
            yield b"x" * 1024
        yield b'"}'

    headers = KEYS["key-a"] | {"content-type": "application/json"}
    announced = server.post("/v1/feedback", content=b'"' + bytes(1 << 20), headers=headers)
    refused(announced, 413, "request_too_large", None)
    chunked = server.post("/v1/feedback", content=body(), headers=headers)
    message = refused(chunked, 413, "request_too_large", None)
    assert str(MAX_BODY_BYTES) in message and taken >= MAX_BODY_BYTES


def test_the_longest_reason_in_any_script(server):
    request_id = edited(server)
    reason = "\U0001f600" * 2000  # 12 bytes a character as Python writes JSON
    assert give(server, request_id, score=0.5, reason=reason).status_code == 200


def test_feedback_that_is_switched_off():
    with TestClient(create_app(FakeDoors())) as server:
        message = refused(give(server, "a", score=1), 404, "feedback_disabled", None)
    assert "--feedback" in message


def test_a_server_without_keys_takes_feedback_of_anybody(tmp_path):
    settings = Settings(str(tmp_path / "feedback.db"))
    with TestClient(create_app(FakeDoors(), feedback_settings=settings)) as server:
        assert give(server, edited(server, "key-a"), "key-b", thumb="up").status_code == 200


def test_a_store_that_is_down_for_a_while(tmp_path, monkeypatch):
    """Edits go on, feedback is to be sent again, and what was recorded meanwhile is found later."""
    monkeypatch.setattr(recorder, "PAUSE", 0.05)
    monkeypatch.setattr(service, "WAIT_SECONDS", 0.2)
    folder = tmp_path / "data"
    folder.write_text("in the way of the store's folder")
    settings = Settings(str(tmp_path / "data" / "feedback.db"))
    monkeypatch.setattr(service, "spool_path", lambda url: tmp_path / "answers.spool")
    with TestClient(create_app(FakeDoors(), feedback_settings=settings)) as server:
        request_ids = [edited(server) for _ in range(3)]
        down = give(server, request_ids[0], thumb="up")
        refused(down, 503, "unavailable", None)
        assert float(down.headers["retry-after"]) >= 1
        until(lambda: metric(server, "retouch_feedback_answers_spooled_total") == 3, "spooled")
        assert metric(server, "retouch_feedback_store_up") == 0
        assert metric(server, "retouch_feedback_total", outcome="unavailable") == 1
        folder.unlink()
        until(lambda: metric(server, "retouch_feedback_store_up") == 1, "the store is back")
        for request_id in request_ids:
            assert give(server, request_id, thumb="up").json()["repeated"] is False
        assert metric(server, "retouch_feedback_answers_dropped_total") == 0
    assert (tmp_path / "answers.spool").read_bytes() == b""
