"""What `retouch perf` gives perf_analyzer beside its arguments."""

from __future__ import annotations

import base64
import json

import pytest

from retouch.api.request import request_from_values
from retouch_clients.commands.perf import SAMPLE, with_defaults


def test_without_arguments_it_is_bounded():
    arguments = with_defaults(())
    assert arguments[:6] == ["-m", "edit_sync", "-i", "grpc", "-u", "127.0.0.1:8001"]
    assert {"--request-count", "--concurrency-range", "--input-data"} < set(
        arguments
    ) and "--streaming" not in arguments


@pytest.mark.parametrize("own", [("-m", "edit"), ("--model-name=edit",), ("-m", "edit_ensemble")])
def test_a_door_that_streams_is_streamed(own):
    arguments = with_defaults(own)
    assert arguments[: len(own)] == list(own) and {"--async", "--streaming"} < set(arguments)


@pytest.mark.parametrize(
    "own",
    [("--concurrency-range", "4"), ("--request-count=8",), ("-u", "127.0.0.1:9"), ("-p", "2000")],
)
def test_its_own_arguments_go_before_ours(own):
    name = own[0].partition("=")[0]
    assert sum(each.partition("=")[0] == name for each in with_defaults(own)) == 1


def test_http_has_its_port_and_help_has_nothing_added():
    assert "127.0.0.1:8000" in with_defaults(("-i", "http"))
    assert with_defaults(("--help",)) == ["--help"]


def test_the_sample_is_an_edit():
    (values,) = json.loads(SAMPLE.read_text())["data"]
    request = request_from_values({name: value[0] for name, value in values.items()})
    assert base64.b64decode(request.image).startswith(b"\x89PNG")
