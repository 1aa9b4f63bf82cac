"""Tickets reach the process that takes edits out, whoever else is or is not there."""

from __future__ import annotations

import queue
import subprocess
import sys

import pytest

from retouch.launcher.server import ROOT
from retouch.routing.cancel_socket import CancelListener, drop, socket_of


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RETOUCH_BOARD", "board_")  # short, as a socket's path must be


@pytest.fixture()
def box():
    taken = queue.Queue()
    mailbox = CancelListener("bf16", taken.put)
    yield taken
    mailbox.remove()


def test_tickets_arrive_in_order(box):
    for number in range(300):
        drop("bf16", f"ticket {number}")
    assert [box.get(timeout=5) for _ in range(300)] == [f"ticket {number}" for number in range(300)]


def test_from_another_process(box):
    code = "from retouch.routing.cancel_socket import drop; drop('bf16', 'theirs')"
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        env={"RETOUCH_BOARD": "board_", "PYTHONPATH": str(ROOT)},
    )
    assert box.get(timeout=5) == "theirs"


def test_bytes_that_are_no_ticket_change_nothing(box):
    drop("bf16", "ü" * 1000)
    drop("bf16", "next")
    while box.get(timeout=5) != "next":
        pass


def test_a_lane_that_is_not_there():
    drop("bf16", "lost")


def test_a_lane_that_is_loaded_again_has_its_tickets():
    first = CancelListener("bf16", lambda ticket: None)
    taken = queue.Queue()
    first.remove()
    assert not socket_of("bf16").exists()
    drop("bf16", "lost")
    second = CancelListener("bf16", taken.put)
    drop("bf16", "kept")
    assert taken.get(timeout=5) == "kept"
    second.remove()


def test_a_place_where_none_can_be_is_no_error(monkeypatch):
    monkeypatch.setenv("RETOUCH_BOARD", "/nowhere/at/all/")
    CancelListener("bf16", lambda ticket: None).remove()
    drop("bf16", "lost")
