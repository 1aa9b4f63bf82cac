"""Eight clients, one edit each at a time, half local and half full-frame: Retouch on tritonserver
against LitServe."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.held_out_edits import Prepared
from benchmarks.interleave import medians, quantile
from benchmarks.table import AT_LEAST, AT_MOST, Row
from benchmarks.uncached_images import unseen
from retouch.client import Retouch
from retouch.launcher.server import HOST, RUNTIME, Server, ServerError, free_port

CLIENTS = 8
STEPS = 12
START_SECONDS = 120.0
LOG = RUNTIME / "lit.log"
LIT = "diffusers pipeline on LitServe, batching on"


@dataclass(frozen=True)
class Asked:
    """One client's next edit, of an image that no server has seen."""

    image: bytes
    instruction: str
    seed: int
    region: str


@dataclass
class Run:
    """Milliseconds of the edits that ended within `seconds`."""

    seconds: float
    latencies: list[float] = field(default_factory=list)

    @property
    def throughput(self) -> float:
        return len(self.latencies) / self.seconds


Edit = Callable[[Asked], object]


def client_rows(
    scenes: Sequence[Prepared], checkpoint: Path, runs: int, seconds: float
) -> list[Row]:
    """Run both servers `runs` times in turns, each alone on the machine."""
    runs_of: dict[str, list[Run]] = {"ours": [], "theirs": []}
    for number in range(runs):
        for name, server in (("ours", ours), ("theirs", lambda: theirs(checkpoint))):
            with server() as edit:
                load(edit, scenes, number, min(3.0, seconds))  # warm
                runs_of[name].append(load(edit, scenes, number + runs, seconds))
    work = f"{CLIENTS} clients, half local, half full frame, {STEPS} steps"
    quality = f"{runs} × {seconds:g} s, same checkpoint"
    rates = medians(
        {name: [run.throughput for run in side_runs] for name, side_runs in runs_of.items()}
    )
    tails = medians(
        {
            name: [quantile(run.latencies, 0.95) for run in side_runs]
            for name, side_runs in runs_of.items()
        }
    )
    bound = (
        "both use the two cores to the full, and torch and ONNX Runtime multiply the same matrices"
    )
    return [
        Row(
            f"{work}: throughput",
            LIT,
            rates["ours"],
            rates["theirs"],
            "edits/s",
            AT_LEAST,
            4,
            quality,
            bound,
        ),
        Row(
            f"{work}: p95", LIT, tails["ours"], tails["theirs"], "ms", AT_MOST, 0.25, quality, bound
        ),
    ]


def load(edit: Edit, scenes: Sequence[Prepared], number: int, seconds: float) -> Run:
    """All clients send edits until the time is over; edits that end later do not count. Raises the
    first failure."""
    run = Run(seconds)
    failures = []
    end = time.perf_counter() + seconds

    def client(which: int) -> None:
        try:
            for asked in requests(
                scenes, number * CLIENTS + which, "full" if which % 2 else "auto"
            ):
                begin = time.perf_counter()
                edit(asked)
                now = time.perf_counter()
                if now > end:
                    return
                run.latencies.append((now - begin) * 1000)
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=client, args=(which,)) for which in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return run


def requests(scenes: Sequence[Prepared], client: int, region: str) -> Iterator[Asked]:
    number = client << 10  # images of its own
    while True:
        scene = scenes[number % len(scenes)]
        yield Asked(unseen(scene.source.pixels, number), scene.pair.instruction, number, region)
        number += 1


@contextlib.contextmanager
def ours() -> Iterator[Edit]:
    with (
        Server(log=RUNTIME / "benchmark.log") as server,
        Retouch(f"{HOST}:{server.grpc}") as client,
    ):
        yield lambda asked: list(
            client.edit(
                asked.image,
                asked.instruction,
                seed=asked.seed,
                steps=STEPS,
                precision="bf16",
                region=asked.region.encode(),
            )
        )


@contextlib.contextmanager
def theirs(checkpoint: Path) -> Iterator[Edit]:
    """LitServe in a process group of its own; ServerError when it does not start."""
    port = free_port()
    url = f"http://{HOST}:{port}"
    LOG.parent.mkdir(exist_ok=True)
    with LOG.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.litserve_baseline", str(port), str(checkpoint)],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait(f"{url}/health", process)
        yield lambda asked: _post(
            f"{url}/predict",
            {
                "image": base64.b64encode(asked.image).decode(),
                "instruction": asked.instruction,
                "seed": asked.seed,
                "steps": STEPS,
                "region": asked.region,
            },
        )
    finally:
        with contextlib.suppress(ProcessLookupError):  # one that did not start has ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(url: str, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(urllib.error.URLError, OSError):
            if urllib.request.urlopen(url, timeout=5).status == 200:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise ServerError(f"LitServe did not start; its log is {LOG.name}")
        time.sleep(0.2)


def _post(url: str, body: dict) -> bytes:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=START_SECONDS) as answer:
        return answer.read()
