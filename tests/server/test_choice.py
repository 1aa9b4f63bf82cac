"""Which lane serves, and why: at every endpoint, by the lanes' own load reports and by those of
the test."""

from __future__ import annotations

import time

import pytest
import tritonclient.grpc as grpc

from retouch.api.errors import RequestError
from retouch.api.lanes import LANES
from retouch.api.request import EditRequest
from retouch.client import Retouch, answer_of, inputs_of
from retouch.routing import load_board
from retouch.routing.load_board import LoadReporter

SENTENCE = "make the red circle blue"


def lane_of(answers):
    *_, answer = answers
    return answer.info.lane, answer.info.lane_reason


@pytest.fixture()
def place(server, monkeypatch):
    monkeypatch.setenv("RETOUCH_BOARD", server.boards)


@pytest.fixture()
def reporters(place):
    """Reporters of the test in the place of the lanes' own, which come back after it."""
    paths = [load_board.path_of(lane) for lane in LANES]
    aside = [path.rename(path.with_name(f"{path.name}_aside")) for path in paths]
    ours = {lane: LoadReporter(lane, 3) for lane in LANES}
    for board in ours.values():
        board.publish(0, 0, 0.001)
    yield ours
    for own, path in zip(aside, paths):
        own.replace(path)


@pytest.mark.parametrize("lane", LANES)
def test_a_lane_asked_for_by_name_serves(client, photo, lane):
    preview, final = client.edit(photo, SENTENCE, precision=lane, previews=1)
    assert {(answer.info.lane, answer.info.lane_reason) for answer in (preview, final)} == {
        (lane, "asked for by name")
    }


def test_every_lane_tells_of_itself(place, client, photo):
    for lane in LANES:
        *_, answer = client.edit(photo, SENTENCE, precision=lane, steps=2)
        over = time.monotonic() + 10
        while load_board.read(lane).edits and time.monotonic() < over:
            time.sleep(0.05)
        load = load_board.read(lane)
        assert (load.edits, load.steps, load.silent) == (0, 0, 0.0)
        assert load.default_steps == 3 and load.step_seconds > 0


def test_a_running_edit_is_in_the_load_report(place, client, photo):
    answers = client.edit(photo, SENTENCE, precision="bf16", steps=50, previews=8, region=b"full")
    next(answers)
    load = load_board.read("bf16")
    answers.close()
    assert load.edits == 1 and 0 < load.steps < 50


def test_under_load_auto_goes_where_it_is_done_sooner(reporters, client, photo):
    reporters["bf16"].publish(4, 2000, 9.0)
    lane, reason = lane_of(client.edit(photo, SENTENCE))
    assert lane == "fp8" and reason.startswith("auto: bf16 has 4 edits before it (about ")
    lane, reason = lane_of(client.edit(photo, SENTENCE, deadline_ms=12_000))
    assert lane == "fp8" and reason.startswith(
        "auto: fp8 is the widest lane that meets the deadline"
    )
    reporters["fp8"].publish(4, 2000, 9.0)
    assert lane_of(client.edit(photo, SENTENCE, deadline_ms=12_000))[0] == "fp4"
    assert lane_of(client.edit(photo, SENTENCE, precision="draft"))[0] == "fp4"


def test_a_policy_that_weighs_nothing_stays(reporters, client, photo):
    reporters["bf16"].publish(4, 2000, 9.0)
    assert lane_of(client.edit(photo, SENTENCE, precision="best")) == (
        "bf16",
        "best: the widest lane loaded",
    )
    assert lane_of(client.edit(photo, SENTENCE, precision="bf16")) == ("bf16", "asked for by name")


def test_without_load_reports_the_preference_holds(reporters, client, photo):
    for board in reporters.values():
        board.remove()
    assert lane_of(client.edit(photo, SENTENCE))[0] == "bf16"
    assert lane_of(client.edit(photo, SENTENCE, precision="draft"))[0] == "fp4"
    assert lane_of(client.edit(photo, SENTENCE, precision="balanced"))[0] == "fp8"


def test_the_door_with_exactly_one_response_says_it_too(server, photo):
    with grpc.InferenceServerClient(f"127.0.0.1:{server.grpc}") as client:
        answer = answer_of(
            client.infer(
                "edit_sync", inputs_of(EditRequest(photo, SENTENCE, precision="fp8"), grpc)
            )
        )
    assert (answer.info.lane, answer.info.lane_reason) == ("fp8", "asked for by name")


def test_the_ensemble_has_one_lane_and_says_so(server, photo):
    ensemble = Retouch(f"127.0.0.1:{server.grpc}", model="edit_ensemble")
    assert lane_of(ensemble.edit(photo, SENTENCE, precision="draft")) == (
        "bf16",
        "the only lane loaded",
    )
    with pytest.raises(RequestError, match="PRECISION fp8 is not loaded"):
        list(ensemble.edit(photo, SENTENCE, precision="fp8"))
