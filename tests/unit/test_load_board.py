"""Load reports: what is published is read in another process, and what is no report of ours is
unknown."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from retouch.launcher.server import ROOT
from retouch.routing import load_board
from retouch.routing.load_board import LoadReport, LoadReporter

# what another process does once it has published a report
HOLD = "import time; time.sleep(60)"
END = ""
BUSY = """
for number in range(10**9):
    reporter.publish(number, number)
"""
WRITER = """
from retouch.routing.load_board import LoadReporter
reporter = LoadReporter("bf16", 3)
reporter.publish(2, 2, 0.25)
print("published", flush=True)
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("RETOUCH_BOARD", f"{tmp_path}/board_")
    return tmp_path / "board_bf16"


def writer(then):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER + then], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "published\n"
    return process


def test_another_process_is_read_as_long_as_it_lives():
    process = writer(HOLD)
    load = load_board.read("bf16")
    assert (load.edits, load.steps, load.default_steps, load.step_seconds) == (2, 2, 3, 0.25)
    assert load.silent > 0
    process.kill()
    process.wait()
    assert load_board.read("bf16") is None


def test_a_lane_that_is_loaded_again_has_a_new_report():
    writer(END).wait()
    LoadReporter("bf16", 5)
    assert load_board.read("bf16") == LoadReport(0, 0, 5, 0.0)


def test_the_figure_is_not_moved_by_one_odd_step():
    own = LoadReporter("bf16", 3)
    for seconds in (0.1, 0.1, 9.0, 0.1, 0.0):
        own.publish(1, 1, seconds)
    assert load_board.read("bf16").step_seconds == 0.1


def test_a_lane_without_edits_is_not_silent():
    LoadReporter("bf16", 3).publish(0, 0, 0.1)
    assert load_board.read("bf16").silent == 0.0


def test_a_report_can_be_removed(place):
    own = LoadReporter("bf16", 3)
    own.remove()
    own.publish(1, 1)
    assert load_board.read("bf16") is None and not place.exists()


@pytest.mark.parametrize(
    "made",
    [
        lambda place: None,
        lambda place: place.write_bytes(b""),
        lambda place: place.write_bytes(bytes(load_board.SIZE)),
        lambda place: place.write_text("somebody else's file, and a longer one than any report is"),
        lambda place: place.mkdir(),
        lambda place: os.mkfifo(place),
        lambda place: place.symlink_to("/dev/zero"),
    ],
    ids=["none", "empty", "zeros", "text", "folder", "pipe", "link"],
)
def test_what_is_no_report_is_unknown(place, made):
    made(place)
    assert load_board.read("bf16") is None


def test_a_damaged_record_is_unknown(place):
    own = LoadReporter("bf16", 3)
    with place.open("r+b") as file:
        file.seek(10)
        file.write(b"\xff")
    assert load_board.read("bf16") is None
    own.publish(0, 0)
    assert load_board.read("bf16") is not None


def test_without_a_place_nothing_is_known_and_nothing_fails(monkeypatch):
    monkeypatch.setenv("RETOUCH_BOARD", "/nowhere/at/all/")
    LoadReporter("bf16", 3).publish(1, 2, 0.1)
    assert load_board.read("bf16") is None


def test_without_a_variable_it_belongs_to_the_parent_process(monkeypatch, tmp_path):
    monkeypatch.delenv("RETOUCH_BOARD")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert load_board.path_of("fp8") == tmp_path / f"retouch_{os.getppid()}_board_fp8"


def test_a_reader_never_sees_half_a_record():
    process = writer(BUSY)
    seen = set()
    while len(seen) < 2000 and process.poll() is None:
        load = load_board.read("bf16")
        if load:  # none when it was being written at every try
            assert load.edits == load.steps
            seen.add(load.edits)
    process.kill()
    process.wait()
    assert len(seen) == 2000
