"""Bodies of the OpenAI-compatible server: bounded before they are decoded, and read as clients
write them."""

from __future__ import annotations

import base64
import json
import os
import tracemalloc

import orjson
import pytest
from fastapi.testclient import TestClient

from fake_doors import FakeDoors
from pictures import file_of, scene
from retouch_clients.openai_api import base64_text
from retouch_clients.openai_api.app import create_app
from retouch_clients.openai_api.body import KNOWN
from retouch_clients.openai_api.errors import ApiError
from retouch_clients.openai_api.json_body import fields_of
from retouch_clients.openai_api.json_outline import LONG, LongText

EDITS = "/v1/images/edits"
PHOTO = file_of(scene(160, 96))
TEXT = base64.b64encode(PHOTO).decode()


def send(body: bytes, kind: str = "application/json", doors: FakeDoors | None = None, **options):
    page = TestClient(create_app(doors or FakeDoors(), **options))
    return page.post(EDITS, content=body, headers={"content-type": kind})


def send_json(doors: FakeDoors | None = None, **fields):
    return send(json.dumps({"prompt": "make it blue", **fields}).encode(), doors=doors)


def error_of(answer, status: int = 400) -> dict:
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


def multipart(parts: list[tuple[str, bytes]], boundary: str = "b", end: str = "--b--\r\n") -> bytes:
    """Of heads after `form-data; ` and their bytes."""
    pieces = [
        f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + data + b"\r\n"
        for head, data in parts
    ]
    return b"".join(pieces) + end.encode()


def send_form(parts, kind: str = "multipart/form-data; boundary=b", doors=None, **shape):
    return send(multipart(parts, **shape), kind, doors)


PLAIN = [('name="prompt"', b"make it blue"), ('name="image"; filename="a.png"', PHOTO)]


@pytest.mark.parametrize(
    "body, message",
    [
        (b'{"images":[' + b'"",' * 1_000_000 + b'""]}', "exceeds a limit"),
        (b'{"images":[' + b"[]," * 1_000_000 + b"[]]}", "exceeds a limit"),
        (b'{"images":[' + b"1," * 1000 + b"1]}", "512 values"),
        (
            b"{" + b",".join(b'"n%d":1' % number for number in range(100_000)) + b"}",
            "Unknown parameter: 'n0'",
        ),
        (b'{"prompt":"x",' + b'"zz":' + b"[" * 100_000, "Unknown parameter: 'zz'"),
        (b'{"image":' + b"[" * 100_000, "exceeds a limit"),
        (b'{"image":' + b'{"image_url":' * 20 + b"1" + b"}" * 21, "nested at most 8 deep"),
        (b'{"prompt":"x",' + b" " * 1_000_000 + b'"n":1}', "64 KiB"),
        (b'{"prompt":"' + b'\\"' * 100_000 + b'"}', "quotes"),
        (b'{"prompt":"' + b"\\" * 100_000 + b'"}', "backslashes"),
        (b'{"prompt":"' + b"a" * 1_000_000 + b'"}', "'prompt': it is too long"),
        (b'{"prompt":"abc', "not terminated"),
        (b'{"' + b"x" * 1_000_000 + b'":1}', "Unknown parameter"),
    ],
)
def test_what_is_too_much_is_refused_before_it_is_decoded(body, message):
    tracemalloc.start()
    with pytest.raises(ApiError, match=message):
        fields = fields_of(body, KNOWN)
        if isinstance(fields.get("prompt"), LongText):
            raise ApiError(400, "Invalid 'prompt': it is too long.", "")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * len(body) + (1 << 20)
    assert message in error_of(send(body))["message"]


def test_unknown_names_may_be_escaped():
    assert send(b'{"\\u0070rompt":"blue","image":"%b"}' % TEXT.encode()).status_code == 200
    assert "Unknown parameter: 'qrompt'" in error_of(send(b'{"\\u0071rompt":"blue"}'))["message"]


def test_values_are_those_that_orjson_reads():
    body = json.dumps(
        {
            "prompt": 'a "quoted" \\ back\\\\slash é \n',
            "n": 2,
            "seed": None,
            "image": TEXT,
            "images": ["A" * (LONG + 1), {"image_url": "B" * 5}],
            "stream": True,
        },
        indent=2,
    ).encode()
    fields = fields_of(body, KNOWN)
    expected = orjson.loads(body)
    assert bytes(fields["images"][0].raw) == expected["images"][0].encode()
    fields["images"][0] = expected["images"][0]
    assert fields == expected


@pytest.mark.parametrize(
    "body, param",
    [
        (b'{"prompt":"a","prompt":"b","image":"x"}', "prompt"),
        (b'{"image":"x","prompt":"a","image":null}', "image"),
        (b'{"prompt":"a","image":{"image_url":"a","image_url":"b"}}', "image_url"),
    ],
)
def test_a_name_that_comes_twice(body, param):
    error = error_of(send(body))
    assert error["param"] == param and "sent twice" in error["message"]


# -- base64 ----------------------------------------------------------------------------------------


def lined(text: str, width: int = 76, end: str = "\r\n") -> str:
    return "".join(text[begin : begin + width] + end for begin in range(0, len(text), width))


@pytest.mark.parametrize(
    "write",
    [
        lined,
        lambda text: lined(text, 60, "\n"),
        lambda text: text + "\n",
        lambda text: f" {text}\t",
        lambda text: text.replace("+", "-").replace("/", "_"),
        lambda text: text.rstrip("="),
        lambda text: f"data:image/png;base64,{text}",
        lambda text: f"data:image/png;base64,{lined(text)}",
    ],
    ids=["mime", "coreutils", "newline", "spaces", "url-safe", "unpadded", "data", "data mime"],
)
@pytest.mark.parametrize(
    "escape",
    [
        json.dumps,
        lambda text: json.dumps(text).replace("/", "\\/"),
        lambda text: json.dumps(text).replace("+", "\\u002B"),
    ],
    ids=["plain", "php", "net"],
)
@pytest.mark.parametrize("size", [5, 100, 900])
def test_base64_as_clients_write_it(write, escape, size):
    file = file_of(scene(size + 16, size + 20))
    doors = FakeDoors()
    image = escape(write(base64.b64encode(file).decode())).encode()
    answer = send(b'{"prompt":"make it blue","image":%b}' % image, doors=doors)
    assert answer.status_code == 200, answer.text
    assert doors.asked[0].image == file


@pytest.mark.parametrize("escaped", [False, True])
def test_base64_in_pieces(escaped):
    for length in (0, 1, 2, 3, base64_text.PIECE - 1, 2 * base64_text.PIECE + 5):
        file = os.urandom(length)
        text = base64_text.encode(file)
        assert text == base64.b64encode(file).decode()
        for written in (text, lined(text)):
            raw = json.dumps(written)[1:-1].replace("/", "\\/") if escaped else written
            assert base64_text.decode(memoryview(raw.encode()), escaped) == file


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "ab=c",
        "abcd=",
        "=",
        "ab==cd==",
        "ab!d",
        "abcé",
        "AAAA" * 60_000 + "A",
        "AA==" + "AAAA" * 60_000,
        "A" * 262_144 + "AA==" + "A" * 262_144,
    ],
)
def test_what_is_no_base64(text):
    assert "not base64" in error_of(send_json(image=text))["message"]


@pytest.mark.parametrize(
    "fields",
    [
        {"image": TEXT, "images": None},
        {"image": None, "images": [TEXT]},
        {"images": [{"image_url": f"data:image/png;base64,{TEXT}", "file_id": None}], "mask": None},
        {"image": {"image_url": TEXT, "file_id": None}},
    ],
)
def test_null_is_left_out(fields):
    answer = send_json(**fields)
    assert answer.status_code == 200, answer.text


# -- what is empty ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields, param",
    [
        ({"image": TEXT, "mask": ""}, "mask"),
        ({"image": TEXT, "mask": "data:image/png;base64,"}, "mask"),
        ({"image": TEXT, "mask": {"image_url": ""}}, "mask"),
        ({"image": TEXT, "mask": " \n"}, "mask"),
        ({"image": ""}, "image"),
        ({"images": [TEXT, ""]}, "images"),
    ],
)
def test_an_empty_picture_in_json(fields, param):
    doors = FakeDoors()
    error = error_of(send_json(doors, **fields))
    assert error["param"] == param and "empty" in error["message"] and not doors.asked


@pytest.mark.parametrize(
    "head",
    [
        'name="mask"; filename="m.png"',
        'name="mask"',
        'name="mask[]"; filename=""',
        'name="image[]"; filename="b.png"',
        'name="images[1]"',
    ],
)
def test_an_empty_picture_in_a_form(head):
    doors = FakeDoors()
    error = error_of(send_form([*PLAIN, (head, b"")], doors=doors))
    assert "empty" in error["message"] and error["param"] == head.split('"')[1] and not doors.asked


# -- forms -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 4, 8, 20, 200])
def test_a_cut_form_is_refused(cut):
    """Whatever is lost of it: the last part may have been a mask."""
    body = multipart([*PLAIN, ('name="mask"; filename="m.png"', PHOTO)], end="--b--")
    doors = FakeDoors()
    error = error_of(send(body[:-cut], "multipart/form-data; boundary=b", doors))
    assert (
        error["code"] == "invalid_body"
        and "closing boundary" in error["message"]
        and not doors.asked
    )
    assert error_of(send(body, "multipart/form-data; boundary=b"))["param"] == "mask"


@pytest.mark.parametrize(
    "names, references",
    [
        (["image[0]", "image[1]"], 1),
        (["images"], 0),
        (["images[]", "images[]"], 1),
        (["image", "image[]", "images[2]"], 2),
    ],
)
@pytest.mark.parametrize("filename", ['; filename="a.png"', "", '; filename=""'])
def test_names_of_files(names, references, filename):
    doors = FakeDoors()
    answer = send_form(
        [PLAIN[0], *((f'name="{name}"{filename}', PHOTO) for name in names)], doors=doors
    )
    assert answer.status_code == 200, answer.text
    assert (doors.asked[0].image, doors.asked[0].references) == (PHOTO, (PHOTO,) * references)


@pytest.mark.parametrize(
    "boundary, kind",
    [
        ("b", 'multipart/form-data; boundary="b"'),
        ("a b:c", 'multipart/form-data; boundary="a b:c"'),
        ("x;y", 'Multipart/Form-Data; charset=utf-8; boundary="x;y"'),
        ("=_/?", 'multipart/form-data; boundary="=_/?"'),
    ],
)
def test_quoted_boundaries(boundary, kind):
    answer = send_form(PLAIN, kind, boundary=boundary, end=f"--{boundary}--\r\n")
    assert answer.status_code == 200, answer.text


def test_a_preamble_and_an_epilogue():
    body = multipart(PLAIN)
    for before, after in (
        (b"\r\n", b""),
        (b"This is MIME.\r\n", b"the end"),
        (b"--bb\r\n", b"--b\r\n" * 50),
    ):
        assert send(before + body + after, "multipart/form-data; boundary=b").status_code == 200


@pytest.mark.parametrize(
    "parts, message",
    [
        ([('name="prompt"', b"a")] * 65, "more than 64 parts"),
        ([("x=1", b"a")], "no name"),
        ([('name="prompt"\r\nX: ' + "a" * 9000, b"a")], "head"),
        ([('name="a"' + "\r\nX: 1" * 20, b"a")], "head"),
        (
            [('name="image"; filename="a"\r\nContent-Transfer-Encoding: base64', b"AAAA")],
            "transfer encoding",
        ),
        ([('name="image"; filename="a"', b"\r\n--bX" * 1000)], "within its parts"),
    ],
)
def test_forms_that_hold_too_much(parts, message):
    assert message in error_of(send_form(parts))["message"]


@pytest.mark.parametrize("text", [b"caf\xe9", b"\xff", b"ok \xed\xa0\x80", b"\xc3"])
def test_a_prompt_that_is_no_utf8(text):
    error = error_of(send_form([('name="prompt"', text), PLAIN[1]]))
    assert error["param"] == "prompt" and "UTF-8" in error["message"]
    assert error_of(send(b'{"prompt":"%b","image":"x"}' % text))["code"] == "invalid_json"
    assert send_form([('name="prompt"', "café".encode()), PLAIN[1]]).status_code == 200
