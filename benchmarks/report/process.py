"""Runs an external program, and ends it with all its children when this process is stopped."""

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
    """Return the exit status; output goes to `log`. The program has a process group of its own,
    which ends with this call and does not get the terminal's Ctrl-C. Raises TimeoutExpired."""
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
