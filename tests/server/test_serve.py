"""`retouch serve` from outside: its log, its end by SIGTERM with edits that run, a stub that dies,
starting again."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from one_lane import one_lane
from processes import INTERRUPTIBLE
from retouch.api.errors import RequestError
from retouch.client import Retouch, Retries
from retouch.launcher.server import HOST, ROOT
from retouch.launcher.tritonserver import STUB, installed

ANY_PORTS = [text for name in ("http", "grpc", "metrics") for text in (f"--{name}-port", "0")]
ONCE = Retries(attempts=1)
LONG = {"steps": 50, "previews": 8, "region": b"full"}


class Serve:
    """A `retouch serve` of one lane on free ports, with a runtime folder of its own."""

    def __init__(self, runtime, repository, *options, **variables):
        own = {
            "RETOUCH_RUNTIME": str(runtime),
            "RETOUCH_REPOSITORY": str(repository),
            **variables,
        }
        self.process = subprocess.Popen(
            [
                *INTERRUPTIBLE,
                sys.executable,
                "-m",
                "retouch_clients",
                "serve",
                *ANY_PORTS,
                *options,
            ],
            cwd=ROOT,
            text=True,
            env={**os.environ, **own},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.output = ""
        self.wait_ready()

    def wait_ready(self):
        for line in self.process.stdout:
            self.output += line
            if line.startswith("ready"):
                self.grpc = f"{HOST}:{re.search(r'gRPC .*:([0-9]+)', line)[1]}"
                return
        pytest.fail(self.output)

    def kill_stub(self, model):
        stubs = psutil.Process(self.process.pid).children(recursive=True)
        next(stub for stub in stubs if f"{model}/1/model.py" in " ".join(stub.cmdline())).kill()

    def ended(self):
        self.output += self.process.communicate(timeout=60)[0]
        return self.process.returncode


@pytest.fixture
def serve(tmp_path):
    running = []
    repository = one_lane(tmp_path)

    def start(*options):
        running.append(Serve(tmp_path / "runtime", repository, *options))
        return running[-1]

    yield start
    for server in running:
        if server.process.poll() is None:
            server.process.send_signal(signal.SIGINT)
            server.ended()


def like_the_container(folder):
    """The wheel's server as NVIDIA's images lay it out: one stub, in the backend's folder."""
    ours = installed()
    backend = folder / "backends" / "python"
    links = {
        folder / "bin" / "tritonserver": ours.binary,
        folder / "caches": ours.folder / "caches",
    }
    links |= {backend / path.name: path for path in ours.python_backend.iterdir()}
    links |= {backend / STUB: ours.stub}
    for link, target in links.items():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    return folder


@pytest.fixture(scope="module")
def proxied(tmp_path_factory):
    """A server behind a proxy, for the tests that leave it as it is. Its tritonserver lies as in
    NVIDIA's images."""
    folder = tmp_path_factory.mktemp("proxied")
    server = Serve(
        folder / "runtime",
        one_lane(folder),
        "--host",
        "0.0.0.0",
        "--behind-proxy",
        RETOUCH_TRITON=str(like_the_container(folder / "tritonserver")),
    )
    yield server
    server.process.send_signal(signal.SIGINT)
    server.ended()


class Edits:
    """Long edits that have begun; `outcomes` are an exception or whether the last answer was final,
    with seconds since `mark`."""

    def __init__(self, url, photo, count):
        self.outcomes = []
        self.mark = time.monotonic()
        begun = threading.Semaphore(0)

        def edit(seed):
            try:
                answers = Retouch(url, retries=ONCE).edit(photo, "make it blue", seed=seed, **LONG)
                next(answers)
                begun.release()
                self.add([answer.final for answer in answers][-1])
            except RequestError as failure:
                begun.release()
                self.add(failure)

        self.threads = [
            threading.Thread(target=edit, args=(seed,), daemon=True) for seed in range(count)
        ]
        for thread in self.threads:
            thread.start()
        for _ in self.threads:
            assert begun.acquire(timeout=60)

    def add(self, outcome):
        self.outcomes.append((outcome, time.monotonic() - self.mark))

    def join(self):
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a client waits for ever"
        return self.outcomes


def test_sigterm_lets_running_edits_end_and_takes_no_new_ones(serve, photo):
    server = serve()
    edits = Edits(server.grpc, photo, 4)
    server.process.send_signal(signal.SIGTERM)
    assert "stopping" in server.process.stdout.readline()
    time.sleep(0.2)
    for model in ("edit", "edit_ensemble"):
        with pytest.raises(RequestError) as refusal:
            Retouch(server.grpc, model=model, retries=ONCE).edit_one(photo, "make it blue")
        assert refusal.value.code == "UNAVAILABLE"
    assert [outcome for outcome, _ in edits.join()] == [True] * 4
    assert server.ended() == 0 and "Error" not in server.output


def test_a_grace_of_nothing_ends_them(serve, photo):
    """In a few seconds, with an error that lets clients come again elsewhere."""
    server = serve("--grace", "0")
    edits = Edits(server.grpc, photo, 4)
    server.process.send_signal(signal.SIGTERM)
    for outcome, _ in edits.join():
        assert outcome is True or outcome.code in ("UNAVAILABLE", "INTERNAL")
    assert server.ended() == 0


def test_a_dead_stub_ends_the_server_at_once_and_it_starts_again(serve, photo):
    server = serve("--restart")
    url = server.grpc
    for model in ("edit", "denoiser_bf16"):  # an endpoint and a stage
        edits = Edits(url, photo, 4)
        edits.mark = time.monotonic()
        server.kill_stub(model)
        for _, seconds in edits.join():
            assert seconds < 10, "5 s on a machine with nothing else to do, and as long again"
        server.wait_ready()
        assert server.grpc == url and Retouch(url).edit_one(photo, "make it blue", seed=1).final
    assert server.output.count("has stopped unexpectedly") == 2
    server.process.send_signal(signal.SIGTERM)
    assert server.ended() == 0


def test_a_second_one_is_refused_and_leaves_the_first_alone(proxied):
    log = Path(re.search(r"log: (.*)", proxied.output)[1])
    before = log.stat().st_ino
    port = proxied.grpc.rpartition(":")[2]
    arguments = ("serve", "--http-port", "0", "--grpc-port", port)
    second = subprocess.run(
        [sys.executable, "-m", "retouch_clients", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "RETOUCH_RUNTIME": str(log.parent.parent)},
    )
    assert second.returncode == 1 and f"port {port} (grpc)" in second.stderr + second.stdout
    assert "ready" not in second.stdout and "Traceback" not in second.stderr
    assert log.stat().st_ino == before and b"Started GRPCInferenceService" in log.read_bytes()
    assert list(log.parent.glob("server-*.log")) == [log]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--host", "0.0.0.0"), "--behind-proxy"),
        (("--profile", "ampere"), "there is no profile ampere"),
        (("--http-port", "18000", "--grpc-port", "18000"), "same port"),
    ],
)
def test_a_start_that_cannot_succeed_is_one_sentence(options, sentence, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "retouch_clients", "serve", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "RETOUCH_RUNTIME": str(tmp_path)},
        timeout=60,
    )
    assert done.returncode == 1 and sentence in done.stderr and "Traceback" not in done.stderr


def test_too_few_open_files_are_named(tmp_path):
    limited = 'ulimit -n 64; exec "$0" -m retouch_clients serve "$@"'
    done = subprocess.run(
        [
            "bash",
            "-c",
            limited,
            sys.executable,
            *ANY_PORTS,
        ],
        cwd=ROOT,
        timeout=60,
        env={**os.environ, "RETOUCH_RUNTIME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "64 open files" in done.stderr and "CUDA" not in done.stderr


def test_behind_a_proxy_it_listens_on_every_address(proxied):
    port = int(proxied.grpc.rpartition(":")[2])
    socket.create_connection(("127.0.0.2", port), 5).close()  # another address of this machine
    assert Retouch(proxied.grpc).ready()
