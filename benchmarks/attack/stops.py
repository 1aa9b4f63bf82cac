"""`retouch serve` under load while its processes are killed or it gets SIGTERM."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

import psutil
from rich.progress import track

from benchmarks.attack.killed_clients import check_edit
from benchmarks.attack.outcomes import ANSWERED, FAILED, HUNG, REFUSED, Outcomes
from benchmarks.attack.pictures import picture
from retouch.api.errors import RequestError
from retouch.client import Retouch, Retries
from retouch.launcher.server import HOST, ROOT

READY = re.compile(r"gRPC \S+:(\d+)")
CLIENTS = 4
START_SECONDS = 180.0
END_SECONDS = 60.0
STEPS = 30
KILLS_A_START = 3


@dataclass
class Serve:
    """One `retouch serve` on free ports."""

    process: subprocess.Popen
    port: int

    @classmethod
    def start(cls, *options: str) -> Serve:
        ports = ("--http-port", "0", "--grpc-port", "0", "--metrics-port", "0")
        command = [sys.executable, "-m", "retouch_clients", "serve", *ports, *options]
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for line in process.stdout:
            if ready := READY.search(line):
                threading.Thread(target=process.stdout.read, daemon=True).start()
                return cls(process, int(ready[1]))
        raise RuntimeError(f"retouch serve ended with {process.wait()}")

    def stubs(self) -> list[psutil.Process]:
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if "model.py" in " ".join(child.cmdline())]

    def shared_memory(self) -> list[str]:
        prefix = f"retouch_{self.process.pid}_"
        return [name for name in os.listdir("/dev/shm") if name.startswith(prefix)]


class Load:
    """CLIENTS threads that edit without a pause, each edit tried once, until `stop`."""

    def __init__(self, port: int, outcomes: Outcomes):
        self._port = port
        self._outcomes = outcomes
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._edit, args=(number,), daemon=True)
            for number in range(CLIENTS)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(END_SECONDS)
            if thread.is_alive():
                self._outcomes.add(HUNG, "a client had no answer and no error")

    def _edit(self, number: int) -> None:
        rng = random.Random(number)
        client = Retouch(f"{HOST}:{self._port}", retries=Retries(attempts=1))
        while not self._over.is_set():
            begin = time.monotonic()
            outcome, detail = self._one(client, picture(rng))
            self._outcomes.add(outcome, detail, time.monotonic() - begin)
            if outcome == REFUSED:
                time.sleep(0.2)

    def _one(self, client: Retouch, photo: bytes) -> tuple[str, str]:
        begun = False
        try:
            for _ in client.edit(photo, "make it blue", steps=STEPS, previews=8, region=b"full"):
                begun = True
        except RequestError as failure:
            lost = self.is_lost(begun, failure)
            return (FAILED if lost else REFUSED), f"{failure.code}: {failure}"
        return ANSWERED, ""

    def is_lost(self, begun: bool, failure: RequestError) -> bool:
        """A killed process may fail its edits, as long as they get an error."""
        return False


class DrainedLoad(Load):
    """A server that drains ends no edit that has begun, and tells others that it is unavailable."""

    def is_lost(self, begun: bool, failure: RequestError) -> bool:
        return begun or failure.code != "UNAVAILABLE"


def attack_by_kills(count: int) -> Outcomes:
    """A random stub is killed under load; `--restart` must bring the server back. It waits longer
    each time and gives up at last, so that a server is killed KILLS_A_START times only."""
    outcomes = Outcomes("kills")
    rng = random.Random(0)
    for first in track(range(0, count, KILLS_A_START), "kills", transient=True):
        serve = Serve.start("--restart")
        try:
            for _ in range(min(KILLS_A_START, count - first)):
                _kill_one(serve, rng, outcomes)
        finally:
            _end(serve, outcomes, ())
    return outcomes


def _kill_one(serve: Serve, rng: random.Random, outcomes: Outcomes) -> None:
    load = Load(serve.port, outcomes)
    time.sleep(1 + rng.random())
    rng.choice(serve.stubs()).kill()
    time.sleep(1)
    load.stop()
    _await_edit(serve.port, outcomes)


def attack_by_sigterm(count: int) -> Outcomes:
    """No edit that has begun is lost, the exit code is 0, and nothing is left behind."""
    outcomes = Outcomes("SIGTERM")
    for _ in track(range(count), "SIGTERM", transient=True):
        serve = Serve.start()
        load = DrainedLoad(serve.port, outcomes)
        time.sleep(2)
        _end(serve, outcomes, (0,))
        load.stop()
    return outcomes


def _await_edit(port: int, outcomes: Outcomes) -> None:
    deadline = time.monotonic() + START_SECONDS
    while detail := check_edit(port, 10):
        if time.monotonic() > deadline:
            outcomes.add(HUNG, f"the server did not come back: {detail}")
            return
        time.sleep(0.5)


def _end(serve: Serve, outcomes: Outcomes, codes: tuple[int, ...]) -> None:
    """SIGTERM; it must end in time with one of `codes` (any, where none is given) and leave
    nothing."""
    serve.process.send_signal(signal.SIGTERM)
    try:
        code = serve.process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        outcomes.add(HUNG, f"not ended {END_SECONDS:g} s after SIGTERM")
        serve.process.kill()
        return
    if codes and code not in codes:
        outcomes.add(FAILED, f"exit code {code} after SIGTERM")
    if left := serve.shared_memory():
        outcomes.add(FAILED, f"left in shared memory: {left[:3]}")
