"""Nothing is left behind: processes, ports, shared memory, temporary files; however a command
ends."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import psutil
import pytest

from one_lane import one_lane
from pictures import file_of, scene
from processes import INTERRUPTIBLE
from retouch.api.errors import RequestError
from retouch.client import Retouch
from retouch.launcher.server import ROOT, Server


class Command:
    """A `retouch` command whose processes, ports and files can be found again by a mark in its
    environment."""

    def __init__(self, folder: Path, *arguments: str):
        self.mark = uuid.uuid4().hex
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.shm = set(os.listdir("/dev/shm"))
        own = {
            "RETOUCH_TEST_MARK": self.mark,
            "TMPDIR": str(self.temporary),
            "RETOUCH_REPOSITORY": str(one_lane(folder)),
        }
        self.process = subprocess.Popen(
            [*INTERRUPTIBLE, sys.executable, "-m", "retouch_clients", *arguments],
            cwd=ROOT,
            env={**os.environ, **own},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait_for(self, text: str) -> None:
        seen = ""
        while text not in seen:
            line = self.process.stdout.readline()
            assert line, f"the command ended early:\n{seen}"
            seen += line

    def left(self) -> list[str]:
        """Commands of processes that carry the mark."""
        commands = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    if self.mark.encode() in (entry / "environ").read_bytes():
                        commands.append((entry / "cmdline").read_text().replace("\0", " "))
                except OSError:
                    continue
        return commands

    def nothing_left(self, seconds: float = 5.0) -> None:
        """A process that is killed takes a moment to go on a busy machine."""
        deadline = time.monotonic() + seconds
        while self.left() and time.monotonic() < deadline:
            time.sleep(0.2)
        assert self.left() == []
        new = set(os.listdir("/dev/shm")) - self.shm
        assert not {name for name in new if f"_{self.process.pid}_" in name}
        assert os.listdir(self.temporary) == []


@pytest.fixture
def arguments(tmp_path):
    photo = tmp_path / "photo.png"
    photo.write_bytes(file_of(scene()))
    sentence = "make the red circle blue"
    return (
        "demo",
        "--out",
        str(tmp_path / "out"),
        "--image",
        str(photo),
        "--instruction",
        sentence,
    )


def test_after_the_demo(tmp_path, arguments):
    command = Command(tmp_path, *arguments)
    output, _ = command.process.communicate(timeout=120)
    assert command.process.returncode == 0, output
    assert "ms: " in output
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"before.png", "after.png", "contact-sheet.jpg"} <= names
    assert sum(name.startswith("preview-") for name in names) >= 2
    command.nothing_left()


@pytest.mark.parametrize(
    "text", ["starting the server", "seed "], ids=["while starting", "while stopping"]
)
def test_after_ctrl_c(tmp_path, arguments, text):
    command = Command(tmp_path, *arguments)
    command.wait_for(text)
    time.sleep(1 if text.startswith("starting") else 0)
    command.process.send_signal(signal.SIGINT)
    command.process.communicate(timeout=60)
    command.nothing_left()


def test_after_a_stop_of_serve(tmp_path):
    command = Command(
        tmp_path,
        "serve",
        "--profile",
        "cpu",
        "--http-port",
        "0",
        "--grpc-port",
        "0",
        "--metrics-port",
        "0",
    )
    command.wait_for("ready")
    command.process.send_signal(signal.SIGTERM)
    command.process.communicate(timeout=60)
    assert command.process.returncode == 0, "a service that was asked to stop has not failed"
    command.nothing_left()


def test_after_a_kill(tmp_path, arguments):
    command = Command(tmp_path, *arguments)
    command.wait_for("starting the server")
    time.sleep(1.5)
    command.process.kill()
    command.process.communicate(timeout=60)
    command.nothing_left(seconds=40)


def test_a_server_whose_stub_has_died_ends_and_leaves_no_client_waiting(tmp_path):
    """Of several edits, each gets its answer or an error; the server would go on without the stub,
    and keep one waiting."""
    begun = queue.Queue()
    ends = queue.Queue()
    photo = file_of(scene())

    def edit(seed: int) -> None:
        try:
            answers = Retouch(f"127.0.0.1:{server.grpc}").edit(
                photo, "make it blue", seed=seed, steps=50, previews=8, region=b"full"
            )
            begun.put(next(answers))
            ends.put([answer.final for answer in answers])
        except RequestError as failure:
            ends.put(failure)

    with Server(one_lane(tmp_path), log=tmp_path / "server.log") as server:
        stub = next(
            stub
            for stub in psutil.Process(server.process.pid).children(recursive=True)
            if "edit/1/model.py" in " ".join(stub.cmdline())
        )
        clients = [threading.Thread(target=edit, args=(seed,), daemon=True) for seed in range(20)]
        for client in clients:
            client.start()
        for _ in range(4):  # and many wait: each of the four stubs has one
            begun.get(timeout=60)
        stub.kill()
        outcomes = [ends.get(timeout=60) for _ in clients]
        server.process.wait(60)
    assert any(isinstance(outcome, RequestError) for outcome in outcomes), (
        "that of the stub at least"
    )
    assert "has died; the server is stopped" in (tmp_path / "server.log").read_text()


def test_after_ctrl_c_of_the_page(tmp_path):
    pytest.importorskip("gradio", reason="the page needs Gradio (make web installs it)")
    command = Command(tmp_path, "web", "--port", "0")
    command.wait_for("the page is ready: http://127.0.0.1:")
    assert any(name.startswith("retouch-web-") for name in os.listdir(command.temporary))
    command.process.send_signal(signal.SIGINT)
    command.process.communicate(timeout=60)
    assert command.process.returncode == 130
    command.nothing_left()
