"""What clients send by default, and what the OpenAI-compatible server tells them: models, leniency,
overload, pages."""

from __future__ import annotations

import asyncio
import base64
import json
import re

import pytest
from fastapi.testclient import TestClient

from fake_doors import FakeDoors
from pictures import file_of, scene
from retouch.api.errors import RequestError
from retouch_clients.openai_api.api_keys import Keys
from retouch_clients.openai_api.app import create_app
from retouch_clients.openai_api.errors import ApiError, of_failure
from retouch_clients.openai_api.lanes import ALIASES
from retouch_clients.openai_api.load import Load, Memory

EDITS = "/v1/images/edits"
PHOTO = file_of(scene(64, 64))
BODY = {"prompt": "make it blue", "image": base64.b64encode(PHOTO).decode()}


def page(doors: FakeDoors | None = None, **options) -> TestClient:
    return TestClient(create_app(doors or FakeDoors(), **options))


@pytest.mark.parametrize(
    "model",
    ["", "retouch", "gpt-image-1", "dall-e-2", "gpt-image-1-mini", "chatgpt-image-latest", None],
)
def test_default_models_of_clients(model):
    doors = FakeDoors()
    assert (
        page(doors).post(EDITS, json={**BODY, "model": model, "quality": "low"}).status_code == 200
    )
    assert doors.asked[0].precision == "draft"


def test_models_by_other_names():
    client = page(aliases=("mine", "other/name"))
    assert [model["id"] for model in client.get("/v1/models").json()["data"]][-2:] == [
        "mine",
        "other/name",
    ]
    assert client.get("/v1/models/mine").status_code == 200
    assert client.post(EDITS, json={**BODY, "model": "other/name"}).status_code == 200
    for model in ("gpt-image-1", "min", "mine "):
        assert client.post(EDITS, json={**BODY, "model": model}).status_code == 404
    assert "dall-e-2" in ALIASES and page().get("/v1/models/dall-e-2").status_code == 200


LENIENT = [
    ("response_format", "url"),
    ("input_fidelity", "low"),
    ("moderation", "auto"),
    ("quality", "standard"),
    ("quality", "hd"),
    ("style", "vivid"),
]


@pytest.mark.parametrize("name, value", LENIENT)
@pytest.mark.parametrize("form", [False, True])
def test_lenient(name, value, form):
    fields = (
        {"data": {"prompt": "blue", name: value}, "files": {"image": PHOTO}}
        if form
        else {"json": {**BODY, name: value}}
    )
    assert page().post(EDITS, **fields).status_code == 400
    answer = page(lenient=True).post(EDITS, **fields)
    assert answer.status_code == 200, answer.text
    assert (
        answer.headers["retouch-ignored"] == name
        and answer.json()["data"][0]["retouch"]["ignored"][name]
    )


def test_lenient_streams_and_what_is_refused_still():
    client = page(lenient=True)
    answer = client.post(
        EDITS, json={**BODY, "stream": True, "style": "vivid", "response_format": "url"}
    )
    assert answer.headers["retouch-ignored"] == "response_format, style"
    assert json.loads(answer.text.split("data: ")[-1])["retouch"]["ignored"].keys() == {
        "response_format",
        "style",
    }
    for name, value in (("markup", "x"), ("foo", 1), ("output_format", "gif"), ("n", 99)):
        assert client.post(EDITS, json={**BODY, name: value}).status_code == 400
    plain = client.post(EDITS, json=BODY)
    assert (
        "retouch-ignored" not in plain.headers
        and "ignored" not in plain.json()["data"][0]["retouch"]
    )


def test_guidance_without_use_is_told():
    """The fake doors' INFO says 0.0, as that of a checkpoint without use for it does."""
    answer = page().post(EDITS, json={**BODY, "guidance": 2.5})
    assert answer.headers["retouch-ignored"] == "guidance"
    assert "does not use it" in answer.json()["data"][0]["retouch"]["ignored"]["guidance"]
    assert "retouch-ignored" not in page().post(EDITS, json={**BODY, "guidance": 0}).headers


@pytest.mark.parametrize("count, taken", [(1, 0), (3, 0), (3, 2)])
def test_images_are_counted_beside_the_edited_one(count, taken):
    error = of_failure(
        RequestError(
            f"REFERENCES holds {count} images beside the edited one; this checkpoint takes {taken}",
            field="REFERENCES",
        )
    ).body.error
    assert (error.param, error.message) == (
        "image",
        f"image[] holds {count} images beside the edited one; this checkpoint takes {taken}",
    )


# -- overload --------------------------------------------------------------------------------------


def test_what_is_too_much_is_refused_before_its_body_is_read():
    """Of 70 requests whose edits do not end, 64 wait; the others are refused though their bodies
    never come."""
    doors = FakeDoors(hangs=True)
    app = create_app(doors)
    body = json.dumps(BODY).encode()

    async def ask(comes: bool) -> list[dict]:
        read = []
        answers = []

        async def receive():
            if not comes or read:
                read.append(1)
                await asyncio.Event().wait()
            read.append(1)
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message):
            answers.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "path": EDITS,
            "raw_path": EDITS.encode(),
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "headers": [(b"content-type", b"application/json")],
            "client": None,
            "server": None,
        }
        await app(scope, receive, send)
        assert comes or not read
        return answers

    async def all_of_them():
        running = [asyncio.create_task(ask(True)) for _ in range(64)]
        while len(doors.asked) < 64:
            await asyncio.sleep(0.01)
        refused = await asyncio.wait_for(asyncio.gather(*(ask(False) for _ in range(6))), 30)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        return refused

    for start, message in asyncio.run(all_of_them()):
        heads = dict(start["headers"])
        assert start["status"] == 429 and int(heads[b"retry-after"]) >= 1
        assert json.loads(message["body"])["error"]["code"] == "overloaded"
    assert page(FakeDoors()).post(EDITS, json=BODY).status_code == 200


def test_the_servers_word_is_taken_for_a_moment():
    load = Load(most=2)
    with load.entered():
        load.note(RequestError("full; try again in 9.0 s", "UNAVAILABLE", retry_after=9.0))
        with pytest.raises(ApiError) as refused, load.entered():
            pass
        assert refused.value.status == 429 and refused.value.headers["Retry-After"] == "1"
    with load.entered():  # nothing runs here: the server is asked again
        pass
    for other in (
        RequestError("bad", "INVALID_ARGUMENT", retry_after=9.0),
        RequestError("gone", "UNAVAILABLE"),
        ApiError(500, "", ""),
    ):
        fresh = Load(most=3)
        fresh.note(other)
        with fresh.entered(), fresh.entered():
            pass


def test_bodies_share_their_memory():
    memory = Memory(100)
    memory.take(60)
    with pytest.raises(ApiError) as refused:
        memory.take(41)
    assert refused.value.status == 429
    memory.give(60)
    memory.take(100)


# -- pages, origins, paths -------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/docs", "/docs/"])
def test_the_page_of_documentation_loads_nothing(path):
    answer = page(keys=Keys.of(["key"])).get(path)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert (
        "/v1/images/edits" in answer.text and "prompt" in answer.text and "guidance" in answer.text
    )
    assert not re.search(r"<(script|link|img|iframe)|@import|url\(|src=", answer.text)


@pytest.mark.parametrize(
    "path", ["/v1/images/edits/", "/images/edits", "/images/edits/", "/v1/images/edits//"]
)
def test_other_spellings_of_the_path(path):
    client = page()
    assert client.post(path, json=BODY, follow_redirects=False).status_code == 200
    assert (
        'requests_total{route="/v1/images/edits",status="200"} 1.0' in client.get("/metrics").text
    )
    assert client.get("/models").status_code == client.get("/v1/models/").status_code == 200
    assert client.post("/images/edit", json=BODY).status_code == 404


def test_origins():
    origin = "https://app.example"
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    client = page(cors=(origin,), keys=Keys.of(["key"]))
    assert client.options(EDITS, headers=asked).headers["access-control-allow-origin"] == origin
    for status, key in ((401, "wrong"), (200, "key")):
        answer = client.post(
            EDITS, json=BODY, headers={"Origin": origin, "Authorization": f"Bearer {key}"}
        )
        assert (
            answer.status_code == status and answer.headers["access-control-allow-origin"] == origin
        )
    for foreign in ("https://evil.example", "null", "https://app.example.evil"):
        assert (
            "access-control-allow-origin"
            not in client.get("/health", headers={"Origin": foreign}).headers
        )
        assert client.options(EDITS, headers={**asked, "Origin": foreign}).status_code == 400
    assert (
        "access-control-allow-origin"
        not in page().get("/health", headers={"Origin": origin}).headers
    )
