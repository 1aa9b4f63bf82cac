"""Draining: running edits are waited for, new ones refused, also where an edit's process is
killed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from retouch.api.errors import RequestError
from retouch.api.triton_errors import read_error
from retouch.launcher.paths import ROOT
from retouch.serving import drain


@pytest.fixture
def boards(monkeypatch, tmp_path):
    prefix = f"{tmp_path}/board_"
    monkeypatch.setenv("RETOUCH_BOARD", prefix)
    return prefix


def test_running_edits_are_seen(boards):
    assert drain.is_idle(boards)
    with drain.running_edit():
        assert not drain.is_idle(boards)
        with drain.running_edit():
            pass
        assert not drain.is_idle(boards), "the other one runs on"
    assert drain.is_idle(boards)


def test_new_edits_are_refused_and_running_ones_go_on(boards):
    with drain.running_edit():
        drain.begin(boards)
        with (
            pytest.raises(RequestError, match="takes no new edits") as refusal,
            drain.running_edit(),
        ):
            pass
        assert not drain.is_idle(boards)
    assert drain.is_idle(boards)
    assert refusal.value.code == "UNAVAILABLE" == read_error(refusal.value.to_text()).code


def test_an_edit_whose_process_is_killed_is_not_waited_for(boards):
    code = (
        "from retouch.serving import drain\nwith drain.running_edit():\n    print('runs', "
        "flush=True)\n    input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as edit:
        assert edit.stdout.readline() == b"runs\n"
        assert not drain.is_idle(boards)
        edit.kill()
        edit.wait()
        assert drain.is_idle(boards)


def test_no_edit_fails_for_files_that_cannot_be_made(monkeypatch):
    monkeypatch.setenv("RETOUCH_BOARD", "/nowhere/at/all/")
    with drain.running_edit():
        assert drain.is_idle("/nowhere/at/all/")
    drain.begin("/nowhere/at/all/")


def test_its_files_are_for_their_owner_alone(boards):
    before = os.umask(0)
    try:
        with drain.running_edit():
            drain.begin(boards)
    except RequestError:
        pass
    finally:
        os.umask(before)
    assert [os.stat(boards + name).st_mode & 0o077 for name in (drain.LOCK, drain.FLAG)] == [0, 0]
