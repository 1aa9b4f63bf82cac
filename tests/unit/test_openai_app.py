"""The OpenAI-compatible server before a client that stands for the doors: requests, answers,
refusals, leaving."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import socket

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from fake_doors import MILLISECONDS, FakeDoors
from pictures import file_of, mask_file, scene
from retouch.api.errors import RequestError
from retouch.imaging import images
from retouch.launcher.server import ServerError
from retouch_clients.openai_api.api_keys import Keys
from retouch_clients.openai_api.app import create_app
from retouch_clients.openai_api.errors import PATTERNS
from retouch_clients.openai_api.feedback import FeedbackRequest
from retouch_clients.openai_api.lanes import ALIASES
from retouch_clients.openai_api.parameters import Parameters
from retouch_clients.openai_api.serving import Options, serve

EDITS = "/v1/images/edits"
PROMPT = "make the red circle blue"
PHOTO = file_of(scene(160, 96))


def door(doors: FakeDoors | None = None, **options) -> TestClient:
    return TestClient(create_app(doors or FakeDoors(), **options))


def form(doors: FakeDoors | None = None, files=None, **fields):
    files = files or {"image": ("photo.png", PHOTO)}
    return door(doors).post(EDITS, data={"prompt": PROMPT, **fields}, files=files)


def text(file: bytes) -> str:
    return base64.b64encode(file).decode()


def sent(doors: FakeDoors | None = None, **fields):
    return door(doors).post(EDITS, json={"prompt": PROMPT, "image": text(PHOTO), **fields})


def picture(answer, index: int = 0) -> bytes:
    assert answer.status_code == 200, answer.text
    return base64.b64decode(answer.json()["data"][index]["b64_json"])


def refused(answer, status: int, param: str | None, code: str) -> str:
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (status, param, code), answer.text
    assert answer.json().keys() == {"error"} and error.keys() == {
        "message",
        "type",
        "param",
        "code",
    }
    assert answer.headers["x-request-id"] and not any(
        word in answer.text for word in ("Traceback", "/work", ".py")
    )
    return error["message"]


def transparent(box, size=(160, 96)) -> bytes:
    """An RGBA mask that is transparent in `box` (left, top, right, bottom)."""
    alpha = np.full((size[1], size[0]), 255, np.uint8)
    alpha[box[1] : box[3], box[0] : box[2]] = 0
    return file_of(np.dstack([np.zeros((size[1], size[0], 3), np.uint8), alpha]))


def test_an_answer():
    answer = form(seed="7", user="somebody")
    reply = answer.json()
    assert images.decode(picture(answer))[0, 0, 0] == 7
    assert (reply["size"], reply["output_format"]) == ("160x96", "png")
    assert (reply["quality"], reply["background"]) == ("high", "opaque")
    assert (reply["data"][0]["retouch"]["seed"], reply["data"][0]["retouch"]["lane"]) == (7, "bf16")
    assert (
        reply["data"][0]["retouch"]["region"]["share"] == 0.25
        and reply["safety_identifier"] == "somebody"
    )
    assert reply["usage"] == {
        "input_tokens": 65,
        "input_tokens_details": {"image_tokens": 60, "text_tokens": 5},
        "output_tokens": 60,
        "total_tokens": 125,
    }
    assert answer.headers["server-timing"] == "preprocess;dur=1.5, denoiser;dur=20, total;dur=30.25"


def test_all_of_ours_reaches_the_doors():
    doors = FakeDoors()
    ours = dict(
        seed=3,
        steps=9.0,
        guidance=2.5,
        negative_prompt="blurred",
        true_cfg_scale=4.0,
        step_cache=0.25,
        deadline_ms=900,
        priority=1,
        adapter="sketch:0.8",
    )
    for answer in (
        form(doors, **{name: str(value) for name, value in ours.items()}),
        sent(doors, **ours),
    ):
        assert answer.status_code == 200, answer.text
    for asked in doors.asked:
        assert (asked.seed, asked.steps, asked.guidance, asked.step_cache) == (3, 9, 2.5, 0.25)
        assert asked.adapter == "sketch:0.8"
        assert (asked.negative, asked.true_cfg, asked.deadline_ms, asked.priority) == (
            "blurred",
            4.0,
            900,
            1,
        )


def test_n_results_have_seeds_that_follow():
    answer = sent(n=3, seed=40)
    assert [images.decode(picture(answer, index))[0, 0, 0] for index in range(3)] == [40, 41, 42]
    assert [item["retouch"]["seed"] for item in answer.json()["data"]] == [40, 41, 42]
    assert answer.json()["usage"]["output_tokens"] == 3 * 60


@pytest.mark.parametrize(
    "quality, wish",
    [(None, "auto"), ("auto", "auto"), ("low", "draft"), ("medium", "balanced"), ("high", "best")],
)
def test_quality_is_a_wish(quality, wish):
    doors = FakeDoors()
    assert sent(doors, quality=quality).status_code == 200 and doors.asked[0].precision == wish


def test_a_model_is_a_lane():
    doors = FakeDoors()
    reply = sent(doors, model="retouch-fp8").json()
    assert (
        doors.asked[0].precision == "fp8" == reply["data"][0]["retouch"]["lane"]
        and reply["quality"] == "medium"
    )
    refused(sent(doors, model="retouch-fp8", quality="low"), 400, "quality", "invalid_value")
    for model in ("retouch-fp4", "gpt-image-9", "retouch-", "fp8"):
        message = refused(sent(doors, model=model), 404, "model", "model_not_found")
        assert "available: retouch, retouch-bf16, retouch-fp8" in message


def test_models_are_listed():
    page = door()
    names = [model["id"] for model in page.get("/v1/models").json()["data"]]
    assert names == ["retouch", "retouch-bf16", "retouch-fp8", *ALIASES]
    model = page.get("/v1/models/retouch-fp8").json()
    assert model["object"] == "model" and model["defaults"] == {"steps": 4, "true_cfg": 1.0}
    assert "defaults" not in page.get("/v1/models/retouch").json()  # the server chooses its lane
    refused(page.get("/v1/models/retouch-fp4"), 404, "model", "model_not_found")
    assert door(FakeDoors(lanes=())).get("/v1/models").json()["data"] == []


@pytest.mark.parametrize(
    "format, magic", [("png", b"\x89PNG"), ("jpeg", b"\xff\xd8\xff"), ("webp", b"RIFF")]
)
def test_formats(format, magic):
    for more in ({}, {"size": "80x48"}):
        answer = sent(output_format=format, **more)
        assert picture(answer).startswith(magic) and answer.json()["output_format"] == format


def test_compression_is_quality():
    sizes = [
        len(picture(sent(output_format="jpeg", output_compression=item, **more)))
        for more in ({}, {"size": "80x48"})
        for item in (0, 60, 100)
    ]
    assert sizes[:3] == sorted(set(sizes[:3])) and sizes[3:] == sorted(set(sizes[3:]))
    refused(
        sent(output_compression=50), 400, "output_compression", "invalid_png_output_compression"
    )
    assert sent(output_compression=100).status_code == 200


def test_sizes_are_kept_without_distortion():
    squares = file_of(
        np.repeat([0, 255, 0], 64).astype(np.uint8)[None, :, None].repeat(64, 0).repeat(3, 2)
    )
    answer = sent(image=text(squares), size="128x128")
    assert answer.json()["size"] == "128x128"
    cut = images.decode(picture(answer))
    assert cut.shape == (128, 128, 3) and (cut[8:120, 8:120] == 255).all(), (
        "the middle, twice as large"
    )
    assert (
        sent(size="auto").json()["size"] == "160x96"
        and sent(size="1600x32").json()["size"] == "1600x32"
    )
    for size in ("15x20", "4097x16", "big", "128", "128X128", "-1x5"):
        message = refused(sent(size=size), 400, "size", "invalid_value")
        assert (
            message
            == "Invalid 'size': it should be auto, or WIDTHxHEIGHT with sides of 16 to 4096 as "
            "1024x768."
        )


@pytest.mark.parametrize("prompt", [" ", "\n\t", "\x1c"])
def test_a_blank_prompt_is_told_as_such(prompt):
    message = refused(sent(prompt=prompt), 400, "prompt", "invalid_value")
    assert message == "Invalid 'prompt': it is blank; send a sentence."


def test_every_pattern_has_its_words():
    """What a regular expression wants is not for people."""
    fields = [*Parameters.model_fields.items(), *FeedbackRequest.model_fields.items()]
    assert {name for name, field in fields if "pattern" in str(field.metadata)} == set(PATTERNS)


@pytest.mark.parametrize("region", ["auto", "full", "find"])
def test_a_region_without_a_mask(region):
    doors = FakeDoors()
    assert sent(doors, region=region).status_code == form(doors, region=region).status_code == 200
    assert [asked.region for asked in doors.asked] == [region] * 2
    mask = text(transparent((10, 20, 50, 60)))
    refused(sent(doors, region=region, mask=mask), 400, "region", "invalid_value")
    assert len(doors.asked) == 2


@pytest.mark.parametrize("way", ["form", "json"])
def test_a_mask_is_transparent_where_it_may_change(way):
    doors = FakeDoors()
    mask = transparent((10, 20, 50, 60))
    files = {"image": ("a.png", PHOTO), "mask": ("m.png", mask)}
    answer = form(doors, files) if way == "form" else sent(doors, mask=text(mask))
    assert answer.status_code == 200, answer.text
    np.testing.assert_array_equal(
        images.decode_mask(doors.asked[0].region, 96, 160),
        images.decode_mask(mask_file(160, 96, (10, 20, 50, 60)), 96, 160),
    )


@pytest.mark.parametrize(
    "mask, message",
    [
        (mask_file(160, 96, (0, 0, 9, 9)), "no alpha channel"),
        (transparent((0, 0, 9, 9), (96, 160)), "96 x 160"),
        (transparent((0, 0, 0, 0)), "opaque all over"),
        (b"no picture", "not a picture file"),
    ],
)
def test_masks_that_are_none(mask, message):
    assert message in refused(sent(mask=text(mask)), 400, "mask", "invalid_value")


def test_a_mask_of_a_turned_photo_is_held_against_it_upright():
    exif = Image.Exif()
    out = io.BytesIO()
    exif[0x0112] = 6
    Image.fromarray(scene(160, 96)).save(out, "JPEG", exif=exif)
    assert (
        sent(
            image=text(out.getvalue()), mask=text(transparent((0, 0, 9, 9), (96, 160)))
        ).status_code
        == 200
    )


def test_the_first_image_is_edited_and_others_are_references():
    a, b, c = (file_of(scene(32, side)) for side in (32, 48, 64))
    doors = FakeDoors()
    form(doors, [("image[]", ("a.png", a)), ("image[]", ("b.png", b)), ("image[]", ("c.png", c))])
    sent(doors, image=text(a), images=[text(b), {"image_url": f"data:image/png;base64,{text(c)}"}])
    assert [(item.image, item.references) for item in doors.asked] == [(a, (b, c))] * 2
    refused(sent(doors, image=[text(a)] * 12), 400, "image", "invalid_value")


@pytest.mark.parametrize(
    "image, message",
    [
        ("https://example.org/a.png", "does not fetch URLs"),
        ("HTTP://example.org/a.png", "does not fetch URLs"),
        ("data:text/plain,hello", "data: URL"),
        ("data:image/png,abc", "data: URL"),
        ("!!", "not base64"),
        ({"file_id": "file-1"}, "no files are stored"),
        ({"image_url": "x", "y": 1}, "no other field"),
        (7, "base64"),
        ({"image_url": 7}, "base64"),
        (text(b"hello"), "not a picture file"),
        ("", "empty"),
    ],
)
def test_images_that_are_none(image, message):
    answer = sent(image=image)
    error = answer.json()["error"]
    assert (
        answer.status_code == 400 and message in error["message"] and error["param"] == "image"
    ), error


@pytest.mark.parametrize(
    "fields, param, code",
    [
        ({"foo": 1}, "foo", "unknown_parameter"),
        ({"markup": "x"}, "markup", "unsupported_parameter"),
        ({"svg": {"model": "x"}}, "svg", "unsupported_parameter"),
        ({"frame_count": 3}, "frame_count", "unsupported_parameter"),
        ({"prompt": None}, "prompt", "missing_required_parameter"),
        ({"prompt": " \n"}, "prompt", "invalid_value"),
        ({"prompt": "x" * 2001}, "prompt", "invalid_value"),
        ({"n": 0}, "n", "invalid_value"),
        ({"n": 11}, "n", "invalid_value"),
        ({"n": "2"}, "n", "invalid_type"),
        ({"n": True}, "n", "invalid_type"),
        ({"response_format": "url"}, "response_format", "unsupported_value"),
        ({"background": "white"}, "background", "invalid_value"),
        (
            {"background": "transparent", "output_format": "jpeg"},
            "background",
            "invalid_value",
        ),
        ({"input_fidelity": "low"}, "input_fidelity", "unsupported_value"),
        ({"moderation": "auto"}, "moderation", "unsupported_value"),
        ({"output_format": "gif"}, "output_format", "unsupported_value"),
        ({"output_format": "bmp"}, "output_format", "invalid_value"),
        ({"quality": "max"}, "quality", "unsupported_value"),
        ({"partial_images": 2}, "partial_images", "invalid_value"),
        ({"stream": True, "partial_images": 4}, "partial_images", "invalid_value"),
        ({"stream": True, "n": 2}, "n", "invalid_value"),
        ({"image": None}, "image", "invalid_type"),
        ({"images": []}, "images", "invalid_value"),
        ({"n": 1.5}, "n", "invalid_type"),
        ({"seed": -1}, "seed", "invalid_value"),
        ({"guidance": 11}, "guidance", "invalid_value"),
        ({"priority": 3}, "priority", "invalid_value"),
        ({"target_size": "large"}, "target_size", "invalid_value"),
        ({"region": "somewhere"}, "region", "invalid_value"),
    ],
)
def test_parameters_that_are_refused(fields, param, code):
    doors = FakeDoors()
    refused(sent(doors, **fields), 400, param, code)
    assert doors.asked == []


def test_forms_that_are_refused():
    files = {"image": ("a.png", PHOTO)}
    refused(form(n="two"), 400, "n", "invalid_type")
    refused(form(**{"svg[model]": "x"}), 400, "svg", "unsupported_parameter")
    refused(form(files={**files, "extra": ("a.png", PHOTO)}), 400, "extra", "invalid_type")
    refused(
        door().post(EDITS, data={"prompt": ["a", "b"]}, files=files), 400, "prompt", "invalid_value"
    )
    mask = {"mask": ("a.png", PHOTO)}
    refused(
        door().post(EDITS, data={"prompt": "a", "image": "text"}, files=mask),
        400,
        "image",
        "invalid_value",
    )
    refused(
        door().post(EDITS, data={"prompt": "a"}, files=mask),
        400,
        "image",
        "missing_required_parameter",
    )
    for boundary, body in (("", b""), ("; boundary=x", b"nonsense")):
        headers = {"content-type": f"multipart/form-data{boundary}"}
        refused(door().post(EDITS, content=body, headers=headers), 400, None, "invalid_body")


@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"', b"\xff", b'{"prompt": NaN}'])
def test_bodies_that_are_no_json_object(body):
    refused(
        door().post(EDITS, content=body, headers={"content-type": "application/json"}),
        400,
        None,
        "invalid_json",
    )


def test_everything_else_has_openais_shape():
    page = door()
    plain = page.post(EDITS, content=b"x", headers={"content-type": "text/plain"})
    refused(plain, 415, None, "unsupported_content_type")
    refused(page.get(EDITS), 405, None, "method_not_allowed")
    refused(page.get("/v1/nothing"), 404, None, "unknown_url")
    for path in ("/v1/images/generations", "/v1/images/variations"):
        assert "edits images" in refused(page.post(path, json={}), 404, None, "unknown_url")


def test_keys():
    page = door(keys=Keys.of(["first", " second ", ""]))
    for path in ("/health", "/ready", "/metrics", "/openapi.json"):
        assert page.get(path).status_code == 200
    refused(page.get("/v1/models"), 401, None, "invalid_api_key")
    for wrong in ("Bearer third", "Bearer firs", "Bearer ", "Basic first", "Bearer fírst".encode()):
        refused(
            page.get("/v1/models", headers={"authorization": wrong}), 401, None, "invalid_api_key"
        )
    for right in ("first", "second"):
        assert (
            page.get("/v1/models", headers={"authorization": f"Bearer {right}"}).status_code == 200
        )


@pytest.mark.parametrize(
    "status, hint, up, expected, code, pause",
    [
        ("UNAVAILABLE", 2.3, True, 429, "overloaded", "3"),
        ("UNAVAILABLE", None, True, 429, "overloaded", "1"),
        ("UNAVAILABLE", None, False, 503, "unavailable", "1"),
        ("DEADLINE_EXCEEDED", None, True, 504, "deadline_exceeded", None),
        ("INTERNAL", None, True, 500, "internal_error", None),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_the_doors_refuse(status, hint, up, expected, code, pause, stream):
    doors = FakeDoors(fails=RequestError("the words at 127.0.0.1", status, retry_after=hint), up=up)
    answer = sent(doors, stream=stream, partial_images=0)
    message = refused(answer, expected, None, code)
    assert answer.headers.get("retry-after") == pause and ("127.0.0.1" in message) == up


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_that_is_not_understood(stream):
    failure = RequestError(
        "INSTRUCTION is odd",
        "INSTRUCTION_NOT_UNDERSTOOD",
        field="INSTRUCTION",
        examples=["make it warmer"],
    )
    answer = sent(FakeDoors(fails=failure), stream=stream, partial_images=0)
    assert answer.status_code == 422 and "retry-after" not in answer.headers
    assert answer.json()["error"] == {
        "message": "prompt is odd",
        "type": "invalid_request_error",
        "param": "prompt",
        "code": "instruction_not_understood",
        "examples": ["make it warmer"],
    }


def test_a_prompt_that_is_not_understood_is_refused_unless_the_request_says_otherwise():
    doors = FakeDoors()
    for policy in ({}, {"on_unknown": "warn"}, {"on_unknown": "try"}):
        assert sent(doors, **policy).status_code == form(doors, **policy).status_code == 200
    assert [asked.on_unknown for asked in doors.asked[::2]] == ["refuse", "warn", "try"]
    assert [asked.on_unknown for asked in doors.asked[1::2]] == ["refuse", "warn", "try"]
    refused(sent(doors, on_unknown="ask"), 400, "on_unknown", "invalid_value")


def test_the_doors_words_have_this_apis_names():
    failure = RequestError(
        "NEGATIVE counts with a TRUE_CFG above 1 only; send one, or leave NEGATIVE empty",
        field="NEGATIVE",
    )
    message = refused(sent(FakeDoors(fails=failure)), 400, "negative_prompt", "invalid_value")
    assert message == (
        "negative_prompt counts with a true_cfg_scale above 1 only; send one, or leave "
        "negative_prompt "
        "empty"
    )


def test_a_fault_of_ours_tells_nothing():
    doors = FakeDoors()
    doors.lanes = None  # a call of it is a TypeError
    page = TestClient(create_app(doors), raise_server_exceptions=False)
    refused(page.get("/v1/models"), 500, None, "internal_error")


def test_ids_are_kept_when_they_are_fit():
    page = door()
    assert page.get("/health", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    made = page.get("/health", headers={"x-request-id": "a b" * 99}).headers["x-request-id"]
    assert made.startswith("req_") and made != page.get("/health").headers["x-request-id"]


def events(answer) -> list[tuple[str, dict]]:
    assert answer.headers["content-type"].startswith("text/event-stream")
    parts = [part.split("\n", 1) for part in answer.text.strip().split("\n\n")]
    return [
        (name.removeprefix("event: "), json.loads(data.removeprefix("data: ")))
        for name, data in parts
    ]


def test_a_stream():
    reply = events(sent(stream=True, partial_images=2, seed=9, output_format="webp"))
    assert [name for name, _ in reply] == ["image_edit.partial_image"] * 2 + [
        "image_edit.completed"
    ]
    assert all(
        (data["type"], data["output_format"], data["size"]) == (name, "webp", "160x96")
        for name, data in reply
    )
    assert all(
        images.decode(base64.b64decode(data["b64_json"])).shape == (96, 160, 3) for _, data in reply
    )
    assert [data.get("partial_image_index") for _, data in reply] == [0, 1, None]
    final = reply[-1][1]
    assert final["usage"]["total_tokens"] == 125 and final["retouch"]["seed"] == 9
    assert (
        final["retouch"]["milliseconds"] == MILLISECONDS
        and "denoiser;dur=20" in final["retouch"]["server_timing"]
    )


def test_a_stream_without_partial_images_is_one_event():
    assert [name for name, _ in events(sent(stream=True))] == ["image_edit.completed"]


def test_a_stream_that_fails_ends_with_an_error():
    doors = FakeDoors(
        fails=RequestError("the edit failed inside the server", "INTERNAL"), late=True
    )
    page = door(doors)
    reply = events(
        page.post(
            EDITS,
            json={"prompt": PROMPT, "image": text(PHOTO), "stream": True, "partial_images": 2},
        )
    )
    assert [name for name, _ in reply] == ["image_edit.partial_image", "error"]
    assert reply[-1][1]["error"]["code"] == "internal_error"
    assert "retouch_openai_stream_errors_total 1.0" in page.get("/metrics").text


def test_metrics():
    page = door()
    page.post(EDITS, json={"prompt": PROMPT, "image": text(PHOTO)})
    page.post(EDITS, json={})
    page.get("/v1/nothing")
    reply = page.get("/metrics").text
    for line in (
        'requests_total{route="/v1/images/edits",status="200"} 1.0',
        'requests_total{route="/v1/images/edits",status="400"} 1.0',
        'requests_total{route="unknown",status="404"} 1.0',
        'seconds_count{route="/v1/images/edits"} 2.0',
        "in_flight 1.0",
        "cancelled_total 0.0",
    ):
        assert f"retouch_openai_{line}" in reply, reply


def test_readiness():
    assert door().get("/ready").status_code == 200
    refused(door(FakeDoors(up=False)).get("/ready"), 503, None, "unavailable")


def test_a_port_that_is_taken():
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(ServerError, match="choose another port with --port"),
    ):
        serve("127.0.0.1:1", Options(taken.getsockname()[1]))


# -- bodies and connections, by ASGI's messages ----------------------------------------------------


def scope(headers=()):
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "path": EDITS,
        "raw_path": EDITS.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": list(headers),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }


JSON = [(b"content-type", b"application/json")]


async def played(app, headers, receive) -> list[dict]:
    """What the app sends while it receives what `receive` gives."""
    answered = []

    async def send(message):
        answered.append(message)

    await asyncio.wait_for(app(scope(headers), receive, send), 10)
    return answered


@pytest.mark.parametrize(
    "announced, chunks", [(None, 10), (b"10001", 0)], ids=["length unknown", "length told"]
)
def test_a_large_body_is_refused_while_it_is_read(announced, chunks):
    read = 0

    async def endless():
        nonlocal read
        read += 1
        return {"type": "http.request", "body": bytes(1024), "more_body": True}

    headers = JSON + [(b"content-length", announced)] * (announced is not None)
    answered = asyncio.run(played(create_app(FakeDoors(), max_body=10_000), headers, endless))
    assert answered[0]["status"] == 413 and read == chunks
    assert json.loads(answered[1]["body"])["error"]["code"] == "request_too_large"


@pytest.mark.parametrize(
    "more", [{}, {"n": 3}, {"stream": True}, {"stream": True, "partial_images": 2}], ids=str
)
def test_who_leaves_cancels_the_edit(more):
    doors = FakeDoors(hangs=True)
    app = create_app(doors)
    body = {"prompt": PROMPT, "image": text(PHOTO), **more}
    requests = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]

    async def leaving():
        if requests:
            return requests.pop()
        while len(doors.asked) < more.get("n", 1):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)  # for the partial images
        return {"type": "http.disconnect"}

    answered = asyncio.run(played(app, JSON, leaving))
    assert doors.left == more.get("n", 1)
    assert "retouch_openai_cancelled_total 1.0" in TestClient(app).get("/metrics").text
    events = b"".join(item.get("body", b"") for item in answered)
    assert events.count(b"event: image_edit.partial_image") == more.get("partial_images", 0)
    assert b"completed" not in events


def test_who_leaves_while_sending_is_no_fault_of_ours():
    requests = [
        {"type": "http.disconnect"},
        {"type": "http.request", "body": b"{", "more_body": True},
    ]

    async def leaving():
        return requests.pop() if len(requests) > 1 else requests[0]

    app = create_app(FakeDoors())
    asyncio.run(played(app, JSON, leaving))
    assert 'status="499"} 1.0' in TestClient(app).get("/metrics").text
