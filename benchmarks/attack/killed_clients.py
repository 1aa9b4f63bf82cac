"""Clients that are killed while their edit runs: their slots must be freed for others.

`python -m benchmarks.attack.killed_clients PORT` is such a client: it edits until it is killed.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time

from rich.progress import track

from benchmarks.attack.outcomes import ANSWERED, FAILED, Outcomes
from benchmarks.attack.pictures import picture
from retouch.api.errors import RequestError
from retouch.api.request import EditRequest
from retouch.client import Retouch
from retouch.launcher.server import HOST, ROOT, Server

AT_ONCE = 5
START_SECONDS = 1.5  # until a client has begun to edit
STEPS = 50


def attack_by_killed_clients(server: Server, count: int) -> Outcomes:
    """After each AT_ONCE killed clients one edit must be answered."""
    outcomes = Outcomes("killed clients")
    rng = random.Random(0)
    for _ in track(range(count // AT_ONCE), "killed clients", transient=True):
        clients = [_start(server.grpc) for _ in range(AT_ONCE)]
        time.sleep(START_SECONDS)
        for client in clients:
            time.sleep(rng.random() / 5)
            client.kill()
            client.wait()
        begin = time.monotonic()
        detail = check_edit(server.grpc)
        seconds = time.monotonic() - begin
        for _ in clients:
            outcomes.add(FAILED if detail else ANSWERED, detail, seconds)
    return outcomes


def check_edit(port: int, timeout: float = 60.0) -> str:
    """Why one plain edit failed; empty when it was answered."""
    try:
        with Retouch(f"{HOST}:{port}", timeout=timeout) as client:
            client.edit_one(picture(random.Random(1)), "make the red circle blue", steps=1)
    except RequestError as failure:
        return f"{failure.code}: {failure}"
    return ""


def _start(port: int) -> subprocess.Popen:
    command = [sys.executable, "-m", "benchmarks.attack.killed_clients", str(port)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)


def edit_forever(port: int) -> None:
    rng = random.Random()
    with Retouch(f"{HOST}:{port}") as client:
        while True:
            request = EditRequest(
                picture(rng), "make it blue", steps=STEPS, previews=8, region=b"full"
            )
            for _ in client.edit(**vars(request)):
                pass


if __name__ == "__main__":
    edit_forever(int(sys.argv[1]))
