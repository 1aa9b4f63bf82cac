"""The OpenAI-compatible server before a real tritonserver, with clients that others wrote: openai's
SDK, LiteLLM."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import importlib
import io
import json
import os
import re
import socket
import threading
import time
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from benchmarks.openai_server import openai_server
from counts import cancelled_by, counted, page_of
from pictures import file_of, scene
from processes import until
from retouch.api.errors import RequestError
from retouch.client import AsyncRetouch, Retries
from retouch.imaging import images
from retouch.launcher.server import free_port

PROMPT = "make the red circle blue"
KEY = "key-of-a-test"
LONG = {"steps": 50}  # with all of the image, an edit that is not over before it is left


@pytest.fixture(scope="module")
def url(server):
    with openai_server(f"127.0.0.1:{server.grpc}", RETOUCH_API_KEYS=f"other,{KEY}") as base:
        yield base


@pytest.fixture(scope="module")
def openai():
    """The SDK; imported here because that takes seconds, in every worker that collects tests."""
    return importlib.import_module("openai")


@pytest.fixture(scope="module")
def sdk(url, openai):
    with openai.OpenAI(base_url=url, api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def whole():
    """A mask that lets all of the image change."""
    return "mask.png", file_of(np.zeros((128, 128, 4), np.uint8))


@pytest.fixture
def part(source):
    """The source itself with a hole in it, RGBA [H, W, 4]."""
    alpha = np.full((128, 128), 255, np.uint8)
    alpha[10:60, 12:61] = 0
    return np.dstack([source, alpha])


def holds_to(edited: np.ndarray, part: np.ndarray, source: np.ndarray) -> None:
    """It has changed, and nowhere but where `part` is transparent."""
    kept = part[..., 3] == 255
    np.testing.assert_array_equal(edited[kept], source[kept])
    assert (edited[~kept] != source[~kept]).any()


def decoded(b64: str) -> np.ndarray:
    return images.decode(base64.b64decode(b64))


# -- openai's SDK ----------------------------------------------------------------------------------


def test_the_sdk_gets_what_grpc_gets(sdk, client, photo):
    answer = sdk.images.edit(
        image=("a.png", photo),
        prompt=PROMPT,
        model="retouch-bf16",
        n=2,
        user="me",
        extra_body={"seed": 5, "steps": 4},
    )
    assert [base64.b64decode(image.b64_json) for image in answer.data] == [
        client.edit_one(photo, PROMPT, seed=seed, steps=4, precision="bf16").image
        for seed in (5, 6)
    ]
    assert [image.retouch["seed"] for image in answer.data] == [5, 6] and answer.data[0].retouch[
        "lane"
    ] == "bf16"
    assert (answer.size, answer.output_format) == ("128x128", "png")
    assert (answer.quality, answer.background) == ("high", "opaque")
    assert answer.usage.output_tokens == 2 * 64 and answer.usage.total_tokens == 64 + 5 + 128
    assert answer.safety_identifier == "me" and abs(answer.created - time.time()) < 60


def test_the_sdk_streams(openai, sdk, client, photo):
    with sdk.images.edit(
        image=("a.png", photo),
        prompt=PROMPT,
        stream=True,
        partial_images=3,
        model="retouch-fp8",
        output_format="webp",
        extra_body={"seed": 5, "steps": 8},
    ) as stream:
        *partial, final = stream
    assert [event.type for event in (*partial, final)] == ["image_edit.partial_image"] * 3 + [
        "image_edit.completed"
    ]
    assert all(isinstance(event, openai.types.ImageEditPartialImageEvent) for event in partial)
    assert isinstance(final, openai.types.ImageEditCompletedEvent)
    assert [event.partial_image_index for event in partial] == [0, 1, 2]
    assert all(
        decoded(event.b64_json).shape == (128, 128, 3) and event.size == "128x128"
        for event in partial
    )
    expected = client.edit_one(
        photo, PROMPT, seed=5, steps=8, precision="fp8", format="webp;quality=100"
    ).image
    assert base64.b64decode(final.b64_json) == expected
    assert final.usage.input_tokens_details.image_tokens == 64 and final.quality == "medium"
    assert (
        re.search(r"denoiser;dur=\d", final.retouch["server_timing"])
        and final.retouch["steps"] == 8
    )


def test_the_sdk_of_asyncio(openai, url, photo):
    async def both():
        async with openai.AsyncOpenAI(base_url=url, api_key=KEY) as sdk:
            ask = dict(
                image=("a.png", photo), prompt=PROMPT, model="retouch-bf16", extra_body={"seed": 3}
            )
            stream = await sdk.images.edit(**ask, stream=True, partial_images=1)
            events = [event async for event in stream]
            return await sdk.images.edit(**ask), events

    answer, events = asyncio.run(both())
    assert [event.type for event in events] == ["image_edit.partial_image", "image_edit.completed"]
    assert events[-1].b64_json == answer.data[0].b64_json


def test_a_mask_of_openais_kind(sdk, photo, source, part):
    answer = sdk.images.edit(image=("a.png", photo), mask=("m.png", file_of(part)), prompt=PROMPT)
    holds_to(decoded(answer.data[0].b64_json), part, source)


def test_models(sdk):
    names = {model.id for model in sdk.models.list()}
    assert {"retouch", "retouch-bf16", "retouch-fp8", "retouch-fp4"} <= names
    assert sdk.models.retrieve("retouch-bf16").owned_by == "retouch"


@pytest.mark.parametrize(
    "ask, error, param, code",
    [
        (dict(n=11), "BadRequestError", "n", "invalid_value"),
        (dict(extra_body={"strength": 1}), "BadRequestError", "strength", "unknown_parameter"),
        (dict(svg={"model": "x"}), "BadRequestError", "svg", "unsupported_parameter"),
        (
            dict(response_format="url"),
            "BadRequestError",
            "response_format",
            "unsupported_value",
        ),
        (
            dict(output_compression=40),
            "BadRequestError",
            "output_compression",
            "invalid_png_output_compression",
        ),
        (dict(model="gpt-image-9"), "NotFoundError", "model", "model_not_found"),
        (dict(image=("a.png", b"no image")), "BadRequestError", "image", "invalid_value"),
        (
            dict(image=[("a.png", file_of(scene()))] * 2),
            "BadRequestError",
            "image",
            "invalid_value",
        ),
        (
            dict(extra_body={"deadline_ms": 1, "steps": 50}),
            "InternalServerError",
            "deadline_ms",
            "deadline_exceeded",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("stream", [False, True], ids=["", "stream"])
def test_the_sdks_errors(openai, sdk, photo, ask, error, param, code, stream):
    with pytest.raises(getattr(openai, error)) as raised:
        if stream:
            ask = {**ask, "n": ask.get("n", 1), "stream": True}
        list(sdk.images.edit(**{"image": ("a.png", photo), "prompt": PROMPT, **ask}))
    assert (raised.value.param, raised.value.code) == (param, code) and raised.value.request_id
    assert not any(
        secret in str(raised.value) for secret in ("Traceback", "/work", ".py", "127.0.0.1")
    )


def test_a_wrong_key(openai, url, photo):
    for key in ("wrong", KEY[:-1]):
        with pytest.raises(openai.AuthenticationError):
            openai.OpenAI(base_url=url, api_key=key).images.edit(
                image=("a.png", photo), prompt=PROMPT
            )
    assert openai.OpenAI(base_url=url, api_key="other").models.list().data


def test_without_a_tritonserver(openai, photo):
    with (
        openai_server(f"127.0.0.1:{free_port()}") as url,
        pytest.raises(openai.InternalServerError) as raised,
    ):
        openai.OpenAI(base_url=url, api_key="none", max_retries=1).images.edit(
            image=("a.png", photo), prompt=PROMPT
        )
    assert raised.value.status_code == 503 and raised.value.response.headers["retry-after"] == "1"
    assert "127.0.0.1" not in str(raised.value)


@contextlib.contextmanager
def overload(server, photo, edits: int = 60):
    """More edits than tritonserver takes on, until the block ends."""
    stop = threading.Event()
    full = threading.Event()

    async def edit(doors):
        try:
            async for _ in doors.edit(photo, PROMPT, region=b"full", precision="bf16", **LONG):
                pass
        except RequestError as refused:
            assert refused.code == "UNAVAILABLE"
            full.set()

    async def all_of_them():
        async with AsyncRetouch(f"127.0.0.1:{server.grpc}", retries=Retries(attempts=1)) as doors:
            running = {asyncio.create_task(edit(doors)) for _ in range(edits)}
            while not stop.is_set():
                done, running = await asyncio.wait(
                    running, timeout=0.01, return_when=asyncio.FIRST_COMPLETED
                )
                if not stop.is_set():  # as full as ever
                    running |= {asyncio.create_task(edit(doors)) for _ in done}
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    thread = threading.Thread(target=asyncio.run, args=(all_of_them(),))
    thread.start()
    try:
        assert full.wait(30), "tritonserver takes all of them"
        yield
    finally:
        stop.set()
        thread.join()


def test_too_much_to_do(openai, server, url, sdk, photo):
    """Refused with 429 and a time to come again, which the SDK keeps."""
    ask = dict(image=("a.png", photo), prompt=PROMPT)
    with overload(server, photo):
        with pytest.raises(openai.RateLimitError) as raised:
            for _ in range(20):  # one may slip in between two others
                sdk.images.edit(**ask)
        assert (
            int(raised.value.response.headers["retry-after"]) >= 1
            and raised.value.code == "overloaded"
        )
        refused = threading.Thread(target=patient, args=(openai, url, ask, answers := []))
        page = url.removesuffix("/v1") + "/metrics"
        name = "retouch_openai_requests_total"
        before = counted(page, name)
        refused.start()
        until(lambda: answers or counted(page, name) > before, "nothing was asked")
    refused.join(60)
    assert decoded(answers[0].data[0].b64_json).shape == (128, 128, 3)


def patient(openai, url, ask, answers) -> None:
    with openai.OpenAI(base_url=url, api_key=KEY, max_retries=10) as sdk:
        answers.append(sdk.images.edit(**ask))


# -- leaving ---------------------------------------------------------------------------------------


def is_cancelled(server, url, leave) -> None:
    """In the denoiser, and the door counts each request that is left."""
    page = url.removesuffix("/v1") + "/metrics"
    name = "retouch_openai_cancelled_total"
    before = counted(page, name)
    times = cancelled_by(server, leave)
    assert 1 <= counted(page, name) - before <= times


def test_a_stream_that_is_closed_early_is_cancelled(server, url, sdk, photo, whole):
    def leave():
        stream = sdk.images.edit(
            image=("a.png", photo),
            mask=whole,
            prompt=PROMPT,
            stream=True,
            partial_images=3,
            extra_body=LONG,
        )
        assert next(stream).type == "image_edit.partial_image"
        stream.close()

    is_cancelled(server, url, leave)


def test_a_connection_that_is_closed_is_cancelled(server, url, photo, whole):
    """Of a request without a stream, by a plain socket; of ten results, so that it is seen before
    it is over."""
    request = httpx.Request(
        "POST",
        f"{url}/images/edits",
        headers={"Authorization": f"Bearer {KEY}"},
        data={"prompt": PROMPT, "n": 10, **LONG},
        files={"image": ("a.png", photo), "mask": whole},
    )
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())

    def leave():
        with socket.create_connection((request.url.host, request.url.port)) as connection:
            connection.sendall(
                f"POST {request.url.path} HTTP/1.1\r\n{head}\r\n".encode() + request.read()
            )
            until(
                lambda: counted(page_of(server), "retouch_denoiser_running"), "it is not denoised"
            )

    is_cancelled(server, url, leave)


def test_a_body_that_is_too_large_is_refused_while_it_is_read(url):
    """A client that never ends gets its answer before it does."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        head = (
            "POST /v1/images/edits HTTP/1.1",
            "Host: localhost",
            f"Authorization: Bearer {KEY}",
            "Transfer-Encoding: chunked",
            "Content-Type: application/json",
            "",
            "",
        )
        connection.sendall("\r\n".join(head).encode())
        sent = 0
        chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
        with contextlib.suppress(ConnectionError):  # it is closed on us
            while sent < 120:
                connection.sendall(chunk)
                sent += 1
    assert 96 <= sent < 120


def test_what_was_sent_before_an_answer_of_413(url):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    connection.putrequest("POST", "/v1/images/edits")
    for name, value in {
        "Content-Length": str(1 << 40),
        "Content-Type": "application/json",
        "Authorization": f"Bearer {KEY}",
    }.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    assert (
        answer.status == 413 and json.loads(answer.read())["error"]["code"] == "request_too_large"
    )


# -- LiteLLM ---------------------------------------------------------------------------------------


@pytest.fixture
def litellm(monkeypatch):
    """Without a look at the network for its table of prices."""
    monkeypatch.setitem(os.environ, "LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    return litellm


def test_litellm(litellm, url, photo, source, part):
    """Its version sends no `extra_body` with edits, so that there is no seed to compare by."""
    answer = litellm.image_edit(
        model="openai/retouch-bf16",
        api_base=url,
        api_key=KEY,
        image=io.BytesIO(photo),
        prompt=PROMPT,
        mask=io.BytesIO(file_of(part)),
        n=2,
        quality="auto",
        user="me",
    )
    assert (
        len({image.b64_json for image in answer.data}) == 2 and answer.usage.output_tokens == 2 * 64
    )
    for image in answer.data:
        holds_to(decoded(image.b64_json), part, source)


@pytest.mark.parametrize(
    "model, key, error",
    [("gpt-image-9", KEY, "NotFoundError"), ("retouch", "wrong", "AuthenticationError")],
)
def test_litellms_errors(litellm, url, photo, model, key, error):
    with pytest.raises(getattr(litellm, error)):
        litellm.image_edit(
            model=f"openai/{model}",
            api_base=url,
            api_key=key,
            image=io.BytesIO(photo),
            prompt=PROMPT,
        )
