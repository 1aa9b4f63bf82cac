"""`retouch openai` as a process of its own, for benchmarks and tests."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator

from retouch.server import ROOT, ServerError

READY = re.compile(r"ready: (http://\S+)")
STOP_SECONDS = 30


@contextlib.contextmanager
def openai_server(url: str, **environment: str) -> Iterator[str]:
    """The base URL (`http://127.0.0.1:…/v1`) of a server on a free port before the tritonserver at `url` (gRPC)."""
    command = [sys.executable, "-m", "clients", "openai", "--port", "0", "--url", url]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True)
    try:
        ready = READY.match(process.stdout.readline())
        if not ready:
            raise ServerError("the OpenAI-compatible server did not start")
        yield ready[1]
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)
