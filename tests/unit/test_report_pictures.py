"""What the benchmark report sends: edits, and the files of perf_analyzer and AIPerf."""

from __future__ import annotations

import base64
import io
import json
import struct

import numpy as np
import pytest
from PIL import Image

from benchmarks.report.pictures import SCENES, Pictures, for_aiperf, for_perf_analyzer
from benchmarks.uncached_images import unseen
from retouch.api.fields import FIELDS
from retouch.api.request import request_from_values
from retouch.imaging import images


@pytest.fixture(scope="module")
def requests():
    return Pictures().take(SCENES + 2, previews=2, precision="bf16")


def test_no_image_and_no_seed_comes_twice(requests):
    assert SCENES >= 64
    assert (
        len({request.image for request in requests})
        == len({request.seed for request in requests})
        == len(requests)
    )
    assert len({images.decode(request.image).tobytes() for request in requests}) == len(requests)


def test_what_is_taken_later_is_other():
    pictures = Pictures(3)
    assert not {item.image for item in pictures.take(5)} & {item.image for item in pictures.take(5)}
    assert pictures.taken == 10


def test_numbers_mark_images_beyond_two_bytes():
    pixels = np.zeros((16, 16, 3), np.uint8)
    assert len({unseen(pixels, number) for number in (0, 1, 256, 65536, 65537)}) == 5
    assert not pixels.any(), "the scene itself stays as it is"


def test_perf_analyzer_gets_every_input_as_the_wire_has_it(requests, tmp_path):
    rows = json.loads(for_perf_analyzer(requests, tmp_path / "input.json").read_text())["data"]
    assert len(rows) == len(requests)
    for row, request in zip(rows, requests):
        values = {}
        assert list(row) == [tensor.name for tensor in FIELDS]
        for tensor in FIELDS:
            content = row[tensor.name]["content"]
            assert row[tensor.name]["shape"] == list(tensor.dims)
            if tensor.datatype == "BYTES":
                raw = base64.b64decode(content["b64"], validate=True)
                (length,) = struct.unpack("<I", raw[:4])
                assert length == len(raw) - 4
                content = [raw[4:]]
            (values[tensor.name],) = content
        assert request_from_values(values) == request


def test_aiperf_gets_sentences_and_data_urls(requests, tmp_path):
    lines = [
        json.loads(line)
        for line in for_aiperf(requests, tmp_path / "input.jsonl").read_text().splitlines()
    ]
    assert [line["text"] for line in lines] == [request.instruction for request in requests]
    head, _, text = lines[0]["image"].partition(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(text))) as picture:
        assert picture.format == "PNG" and min(picture.size) >= 96
