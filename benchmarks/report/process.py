"""A program of others that runs to its end, or is ended with all its children when we are."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from retouch.launcher.server import ROOT

PATIENCE = 300.0  # seconds


def run(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> int:
    """Its exit status; what it says goes to `log`. In a process group of its own, which does not
    outlive this call, and out of reach of the terminal's Ctrl-C; TimeoutExpired."""
    with log.open("wb") as log_file:
        process = subprocess.Popen(
            command,
            stdout=log_file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    try:
        return process.wait(PATIENCE)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
