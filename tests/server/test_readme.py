"""The README's commands do what it says, in its order: shell blocks as they stand, the Python block on a photo."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from retouch.server import HOST, ROOT

SAMPLE = ROOT / "checkpoints" / "shapes" / "sample.png"
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
SHELL = [line for language, block in BLOCKS if language == "sh" for line in block.splitlines()]
PYTHON = [block for language, block in BLOCKS if language == "python"]

pytestmark = pytest.mark.skipif(
    Path(sys.prefix).resolve() != (ROOT / ".venv").resolve(), reason="the README's commands use .venv (make setup)"
)


def line(words: str) -> str:
    """The README's one command with these words."""
    (found,) = (each for each in SHELL if words in each)
    return found


def run(command: str) -> str:
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, text=True, timeout=300, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


def changed(edited: Path) -> bool:
    with Image.open(SAMPLE) as before, Image.open(edited) as after:
        return before.size == after.size and before.tobytes() != after.convert(before.mode).tobytes()


def test_every_command_is_known_here():
    assert [line.split()[0:2] for line in SHELL] == [
        ["make", "demo"], ["make", "edit"], ["make", "serve"],
        [".venv/bin/retouch", "edit"], [".venv/bin/retouch", "edit"], ["make", "web"],
        [".venv/bin/retouch", "batch"], [".venv/bin/retouch", "bench"], [".venv/bin/retouch", "doctor"],
        ["eval", '"$(.venv/bin/retouch'], [".venv/bin/retouch", "export"], [".venv/bin/retouch", "inspect"],
        ["make", "test"]]


def test_the_first_two_commands():
    shutil.rmtree(ROOT / "out", ignore_errors=True)
    told = run(SHELL[0])
    assert "denoiser" in told and "vl_parser" in told
    written = {path.name for path in (ROOT / "out").iterdir()}
    assert {"before.png", "after.png", "contact-sheet.png"} < written
    assert sum(name.startswith("preview-") for name in written) >= 2
    assert changed(ROOT / "out" / "after.png")
    run(SHELL[1])
    assert changed(ROOT / "out" / "removed.png")


def test_an_export_of_what_is_there():
    assert "up to date" in run(line("retouch export"))


def test_a_look_at_the_checkpoint():
    told = run(line("retouch inspect"))
    assert "instructx" in told and "9.43 MB" in told and "missing" not in told


@contextlib.contextmanager
def running(command: str, said: str) -> Iterator[str]:
    """A command that stays, until Ctrl-C; yields the line by which it `said` that it is there."""
    # a shell's background job ignores Ctrl-C, and its children would too
    process = subprocess.Popen(command.split(), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    try:
        told = next((told for told in process.stdout if said in told), "")
        assert told and process.poll() is None
        yield told
    finally:
        for child in subprocess.run(["pgrep", "-g", str(process.pid)], capture_output=True, text=True).stdout.split():
            subprocess.run(["kill", f"-{signal.SIGINT.name[3:]}", child])
        process.wait(60)


@pytest.fixture()
def serving():
    for port in (8000, 8001, 8002):
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                pytest.skip(f"port {port} is in use, and `make serve` wants it")
    with running(SHELL[2], "ready"):
        yield


def test_the_page_is_one_command_away():
    with running(line("make web"), "the page is ready") as told:
        (url,) = re.findall(r"http://127\.0\.0\.1:\d+", told)
        with urllib.request.urlopen(url, timeout=20) as page:
            assert re.search(r'"title": *"Retouch"', page.read().decode())
    with pytest.raises(OSError):
        urllib.request.urlopen(url, timeout=5)


def test_a_server_that_stays(serving, tmp_path):
    for command in SHELL[3:5]:
        run(command)
    assert changed(ROOT / "out" / "blue.png") and changed(ROOT / "out" / "white.png")
    shutil.copy(SAMPLE, tmp_path / "photo.png")
    last, all_of_them = (python(block, tmp_path).splitlines()[-1] for block in PYTHON[:2])
    assert last.split(")")[1].split()[0] == "final"
    assert all_of_them.endswith("[0, 1, 2, 3]") and "'bf16', 'fp8', 'fp4'" in all_of_them
    assert "2 done, 0 failed" in run(line("retouch batch"))
    assert "2 done before, 0 failed" in run(line("retouch batch"))
    assert "edits/s" in run(line("retouch bench"))
    assert "a server is ready" in run(line("retouch doctor"))


def test_a_shell_completes():
    assert "retouch" in run(line("retouch completion") + "; complete -p retouch")


def python(block: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", block], cwd=folder, text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout
