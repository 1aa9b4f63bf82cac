"""Request ids reach the process that cancels edits, whoever else is or is not there."""

from __future__ import annotations

import queue
import subprocess
import sys

import pytest

from retouch.launcher.server import ROOT
from retouch.routing.cancel_socket import CancelListener, send_cancel, socket_of


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RETOUCH_BOARD", "board_")  # short, as a socket's path must be


@pytest.fixture()
def box():
    taken = queue.Queue()
    listener = CancelListener("bf16", taken.put)
    yield taken
    listener.close()


def test_request_ids_arrive_in_order(box):
    for number in range(300):
        send_cancel("bf16", f"request {number}")
    assert [box.get(timeout=5) for _ in range(300)] == [
        f"request {number}" for number in range(300)
    ]


def test_from_another_process(box):
    code = "from retouch.routing.cancel_socket import send_cancel; send_cancel('bf16', 'theirs')"
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        env={"RETOUCH_BOARD": "board_", "PYTHONPATH": str(ROOT)},
    )
    assert box.get(timeout=5) == "theirs"


def test_bytes_that_are_no_request_id_change_nothing(box):
    send_cancel("bf16", "ü" * 1000)
    send_cancel("bf16", "next")
    while box.get(timeout=5) != "next":
        pass


def test_a_lane_that_is_not_there():
    send_cancel("bf16", "lost")


def test_a_lane_that_is_loaded_again_has_its_request_ids():
    first = CancelListener("bf16", lambda request_id: None)
    taken = queue.Queue()
    first.close()
    assert not socket_of("bf16").exists()
    send_cancel("bf16", "lost")
    second = CancelListener("bf16", taken.put)
    send_cancel("bf16", "kept")
    assert taken.get(timeout=5) == "kept"
    second.close()


def test_a_place_where_none_can_be_is_no_error(monkeypatch):
    monkeypatch.setenv("RETOUCH_BOARD", "/nowhere/at/all/")
    CancelListener("bf16", lambda request_id: None).close()
    send_cancel("bf16", "lost")
