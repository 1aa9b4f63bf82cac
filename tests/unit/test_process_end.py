"""A process that uses the client over gRPC ends when its own work does, whatever it keeps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from fake_triton import IMAGE, fake_triton
from retouch.launcher.server import ROOT

GUARD = 60  # seconds, of a machine that is busy; a hang has no end

BEGIN = "import sys; from retouch.client import Retouch; client = Retouch(sys.argv[1]); "
OPEN = (
    "answers = client.edit(b'photo', 'make it blue', previews=1); first = next(answers); "
    "assert first.image; "
)


def python(code: str, url: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", BEGIN + code, url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=GUARD,
    )


@pytest.mark.parametrize("ends", [False, True], ids=["running", "answered"])
@pytest.mark.parametrize(
    "end, code, message",
    [
        ("", 0, ""),
        ("raise OSError('disk full')", 1, "disk full"),
        ("sys.exit(5)", 5, ""),
        (
            (
                "client.__enter__(); later = client.edit(b'p', 'x'); next(later); print('two', "
                "file=sys.stderr)"
            ),
            0,
            "two",
        ),
    ],
    ids=["end", "failure", "exit", "two streams"],
)
def test_a_script_that_keeps_an_iterator_ends(ends, end, code, message):
    with fake_triton(ends) as (url, _):
        done = python(OPEN + end, url)
    assert done.returncode == code and message in done.stderr, done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_client_that_is_not_closed_keeps_no_process():
    with fake_triton(ends=True) as (url, _):
        done = python("client.__enter__(); print(client.edit_one(b'photo', 'x').info.lane)", url)
    assert (done.returncode, done.stdout) == (0, "bf16\n")


def command(*arguments, url: str, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "retouch_clients", "edit", *map(str, arguments), "--url", url],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=options.pop("text", True),
        **options,
    )


@pytest.fixture
def photo_file(tmp_path):
    (tmp_path / "photo.png").write_bytes(b"photo")
    return tmp_path / "photo.png"


def test_a_signal_ends_an_edit_that_hangs(photo_file, tmp_path):
    with fake_triton(ends=False) as (url, triton):
        edit = command(photo_file, "x", "-o", tmp_path / "out.png", url=url)
        assert triton.asked.wait(GUARD)
        edit.send_signal(signal.SIGTERM)
        _, errors = edit.communicate(timeout=GUARD)
    assert edit.returncode == 130 and errors == "stopped\n" and not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("out", ["file/out.png", "/dev/full/out.png", "/proc/out.png"])
def test_a_result_that_cannot_be_made_ends_the_command(photo_file, tmp_path, out):
    (tmp_path / "file").write_text("")
    with fake_triton(ends=True) as (url, triton):
        edit = command(photo_file, "x", "-o", tmp_path / out, url=url, stdout=subprocess.DEVNULL)
        _, errors = edit.communicate(timeout=GUARD)
        assert not triton.asked.is_set(), "it is checked before the edit is sent"
    assert (
        edit.returncode == 1
        and errors.startswith("Error: cannot write")
        and errors.count("\n") == 1
    )


def test_a_signal_ends_an_edit_whose_previews_are_written(photo_file, tmp_path):
    with fake_triton(ends=False) as (url, triton):
        edit = command(
            photo_file, "x", "-o", tmp_path / "new" / "out.png", "--save-previews", url=url
        )
        assert triton.asked.wait(GUARD)
        edit.send_signal(signal.SIGTERM)
        edit.communicate(timeout=GUARD)
    assert edit.returncode == 130 and not (tmp_path / "new" / "out.png").exists()


@pytest.mark.parametrize("target, code", [("picture", 0), ("/dev/full", 1), ("closed pipe", 1)])
def test_standard_output_takes_the_picture_or_the_command_fails(photo_file, tmp_path, target, code):
    with fake_triton(ends=True) as (url, _):
        if target == "closed pipe":
            reader, stdout = os.pipe()
            os.close(reader)
        else:
            stdout = os.open(tmp_path / target, os.O_WRONLY | os.O_CREAT)
        edit = command(photo_file, "x", "-o", "-", url=url, stdout=stdout)
        os.close(stdout)
        _, errors = edit.communicate(timeout=GUARD)
    assert (
        edit.returncode == code and "Traceback" not in errors and "Exception ignored" not in errors
    ), errors
    if code:
        assert errors.splitlines()[-1].startswith("Error: cannot write standard output")
    else:
        assert (tmp_path / target).read_bytes() == IMAGE
