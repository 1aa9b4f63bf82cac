"""`retouch openai` as a process, for benchmarks and tests."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from retouch.launcher.server import ROOT, ServerError

READY = re.compile(r"ready: (http://\S+)")
START_SECONDS = 60
STOP_SECONDS = 30


@contextlib.contextmanager
def openai_server(url: str, log: Path | None = None, **environment: str) -> Iterator[str]:
    """Yield the base URL (`http://127.0.0.1:…/v1`) of a server on a free port, in front of the
    tritonserver at `url` (gRPC).

    Its standard error goes to `log` if there is one. Its process group ends with this context and
    does not get the terminal's Ctrl-C. Raises ServerError."""
    command = [sys.executable, "-m", "retouch_clients", "openai", "--port", "0", "--url", url]
    with log.open("wb") if log else contextlib.nullcontext() as log_file:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            text=True,
            stderr=log_file,
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        ready = READY.match(_first_line(process))
        if not ready:
            where = f"; its log is {log.name}" if log else ""
            raise ServerError(f"the OpenAI-compatible server did not start{where}")
        yield ready[1]
    finally:
        _end(process)


def _first_line(process: subprocess.Popen) -> str:
    """The first line of its output; empty when it has ended, or was stopped because it printed
    nothing in time."""
    # its children too: they hold the pipe's other end, and the line would be waited for as long as
    # they live
    late = threading.Timer(START_SECONDS, os.killpg, (process.pid, signal.SIGKILL))
    late.start()
    try:
        return process.stdout.readline()
    finally:
        late.cancel()


def _end(process: subprocess.Popen) -> None:
    """Stop it, and kill what is left of its process group."""
    process.terminate()
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    finally:  # also when a second Ctrl-C ends the wait
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
