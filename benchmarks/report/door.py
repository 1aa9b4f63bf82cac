"""The OpenAI door, started for AIPerf, and stopped with all that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from clients.command import retouch
from retouch.server import HOST, ROOT, Server, free_port

START_SECONDS = 60.0
COMMAND = "openai"


class DoorError(RuntimeError):
    """The door is not here or does not open: one sentence."""


@contextlib.contextmanager
def openai_door(server: Server, log: Path) -> Iterator[int]:
    """Its port on 127.0.0.1; DoorError."""
    if COMMAND not in retouch.commands:
        raise DoorError("this version has no `retouch openai`")
    port = free_port()
    with log.open("wb") as told:
        process = subprocess.Popen(
            [sys.executable, "-m", "clients", COMMAND, "--port", str(port), "--url", f"{HOST}:{server.grpc}"],
            stdout=told,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            start_new_session=True,
        )
    try:
        _wait(f"http://{HOST}:{port}/v1/models", process, log)
        yield port
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(page: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(OSError):
            try:
                urllib.request.urlopen(page, timeout=5).close()
                return
            except urllib.error.HTTPError as answer:
                if answer.code < 500:
                    return  # it answers, whatever it thinks of the question
        if process.poll() is not None or time.monotonic() > deadline:
            raise DoorError(f"`retouch openai` did not start; its log is {log.name}")
        time.sleep(0.2)
