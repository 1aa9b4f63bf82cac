"""Two exports into one repository, and the modes of what they make."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from retouch.launcher.server import ROOT
from retouch_export.file_modes import make_like_parent, share_file
from retouch_export.lock import locked

HOLD = (
    "import sys; from pathlib import Path; from retouch_export.lock import locked\n"
    "with locked(Path(sys.argv[1]), print):\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.read()\n"
)


def holder(repository):
    """A process that has the lock until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(repository)],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_waits_and_says_so(tmp_path):
    first = holder(tmp_path / "models")
    sentences = []
    (tmp_path / "models" / "kept").write_text("")

    def say(sentence):
        sentences.append(sentence)
        first.stdin.close()

    with locked(tmp_path / "models", say):
        assert first.wait(60) == 0
    assert len(sentences) == 1 and "another export is writing to" in sentences[0]


def test_a_killed_export_leaves_no_lock(tmp_path):
    first = holder(tmp_path / "models")
    sentences = []
    first.send_signal(signal.SIGKILL)
    first.wait(60)
    with locked(tmp_path / "models", sentences.append):
        assert sentences == []


@pytest.mark.parametrize("left", [(), ("a",)])
def test_an_empty_repository_goes_again(tmp_path, left):
    with locked(tmp_path / "models", print):
        for name in left:
            (tmp_path / "models" / name).write_text("")
    assert (tmp_path / "models").is_dir() == bool(left)


@pytest.mark.parametrize("mode, expected", [(0o755, 0o644), (0o750, 0o640), (0o700, 0o600)])
def test_modes_are_those_of_the_folder(tmp_path, mode, expected):
    (tmp_path / "models").mkdir()
    (tmp_path / "models").chmod(mode)
    before = os.umask(0o077)
    try:
        make_like_parent(tmp_path / "models" / "vl_parser" / "1")
        (tmp_path / "file").write_text("")
        share_file(tmp_path / "file", tmp_path / "models" / "vl_parser" / "1")
    finally:
        os.umask(before)
    assert (tmp_path / "models" / "vl_parser" / "1").stat().st_mode & 0o777 == mode
    assert (tmp_path / "file").stat().st_mode & 0o777 == expected & (mode & 0o666)
