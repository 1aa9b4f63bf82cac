"""The client's own work: defaults, tensors, words, the contact sheet."""

from __future__ import annotations

import asyncio
import base64
import http.server
import json
import threading

import numpy as np
import pytest
import tritonclient.grpc
from PIL import Image

from pictures import file_of, scene
from retouch import client
from retouch.api.errors import RequestError
from retouch.api.fields import FIELDS
from retouch.api.request import EditRequest
from retouch.api.triton_errors import read_error
from retouch.client import codec
from retouch_clients.demo.contact_sheet import CAPTION, TILE, Row, contact_sheet


def test_every_input_is_sent_with_its_shape():
    inputs = client.inputs_of(EditRequest(b"file", "make it blue"), tritonclient.grpc)
    assert [input.name() for input in inputs] == [tensor.name for tensor in FIELDS]
    assert all(input.shape() == [1, 1] for input in inputs)


def test_defaults_leave_the_choice_to_the_family():
    request = EditRequest(b"file", "make it blue")
    assert (request.steps, request.guidance, request.precision, request.region) == (
        0,
        0.0,
        "auto",
        b"auto",
    )
    assert request.seed != EditRequest(b"file", "make it blue").seed


def test_files_go_as_text_over_http():
    text = json.loads(codec.body_of(EditRequest(b"\xff", "a", region=b"\xfe", format="webp")))
    assert (base64.b64decode(text["IMAGE"]), base64.b64decode(text["REGION"])) == (b"\xff", b"\xfe")
    assert text["FORMAT"] == "webp;base64"


def test_the_request_id_is_no_part_of_the_words():
    assert str(read_error("[request id: ab12] STEPS is -1")) == "STEPS is -1"
    assert str(read_error("STEPS is -1")) == "STEPS is -1"
    assert (
        str(read_error("[request id: ab12] in ensemble 'edit_ensemble', STEPS is -1"))
        == "STEPS is -1"
    )


def test_lanes_come_in_their_order():
    names = ["denoiser_fp4", "edit", "denoiser_bf16-sketch", "denoiser_bf16"]
    assert codec.lanes_of(names) == ("bf16", "fp4", "bf16-sketch")
    assert (
        codec.model_names({"model_stats": [{"name": name, "version": "1"} for name in names]})
        == names
    )


@pytest.mark.parametrize(
    "url", ["localhost", "http://127.0.0.1:8000", "127.0.0.1:", ":8001", "127.0.0.1:grpc"]
)
@pytest.mark.parametrize("kind", [client.Retouch, client.AsyncRetouch])
def test_what_is_no_address_is_told(kind, url):
    with pytest.raises(RequestError, match="must be host:port"):
        kind(url)


def test_the_sheet_holds_all_pictures():
    wide = Row("wide", ["before", "after"], [file_of(scene()), file_of(scene(160, 96))])
    narrow = Row("narrow", ["before"], [file_of(scene())])
    sheet = np.asarray(contact_sheet([wide, narrow]))
    rows = np.split(sheet, 2)
    assert len(rows[0]) > TILE + 2 * CAPTION and sheet.shape[1] > TILE + TILE * 160 // 96
    assert all(row[:, :TILE].std() > 10 for row in rows)
    assert rows[0][CAPTION:, TILE + 50 :].std() > 10 and rows[1][:, TILE + 50 :].min() == 255


def test_a_photo_on_its_side_stands_upright_on_the_sheet():
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = file_of(scene(160, 96), "JPEG", exif=exif)
    assert contact_sheet([Row("phone", ["before"], [lying])]).width < TILE


class Refusing(http.server.BaseHTTPRequestHandler):
    """As a proxy whose server is away."""

    def do_GET(self):
        self.send_error(503)

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("kind", [client.Retouch, client.AsyncRetouch])
def test_lanes_of_a_server_that_refuses_are_no_empty_list(kind):
    with http.server.HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        asked = kind(f"127.0.0.1:{server.server_port}", http=True)

        async def ask():
            async with asked:
                await asked.lanes()

        with pytest.raises(RequestError) as raised:
            asked.lanes() if kind is client.Retouch else asyncio.run(ask())
        server.shutdown()
    assert raised.value.code == "UNAVAILABLE"
