"""Runs sections one after the other, each within its own time limit and all within a budget."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.gpu_hour.section import CUT_OFF, DONE, FAILED, SKIPPED, Outcome, Section

ROOT = Path(__file__).resolve().parents[2]
EXPORT = ROOT / "export"
TAIL = 300  # characters of a failed section's last line


def run(sections: Iterable[Section], budget: float, is_tiny: bool) -> Iterator[Outcome]:
    """The outcomes as they come. A section that fails or is cut off does not end the run.

    `budget` is in seconds, for all sections together."""
    end = time.monotonic() + budget
    for section in sections:
        left = end - time.monotonic()
        reason = section.reason_to_skip()
        if reason:
            yield Outcome(section.name, SKIPPED, reason)
        elif left < section.least:
            yield Outcome(
                section.name,
                SKIPPED,
                f"{max(0, left):.0f} s of the budget are left, and it needs {section.least:.0f} s",
            )
        else:
            yield run_one(section, min(section.seconds, left), is_tiny)


def run_one(section: Section, seconds: float, is_tiny: bool) -> Outcome:
    """One section within `seconds`. Its output passes through."""
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures.json"
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, *section.command(figures, is_tiny)],
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": _module_path()},
        )
        state, last = _followed(process, seconds)
        taken = time.monotonic() - started
        reason = {
            DONE: "",
            FAILED: f"exit code {process.returncode}: {last}",
            CUT_OFF: f"it had not ended after {seconds:.0f} s",
        }[state]
        return Outcome(section.name, state, reason, taken, _figures(figures))


def _module_path() -> str:
    """PYTHONPATH with the exporter, so that nothing of Retouch must be installed."""
    return os.pathsep.join(filter(None, (str(EXPORT), os.environ.get("PYTHONPATH"))))


def _followed(process: subprocess.Popen, seconds: float) -> tuple[str, str]:
    """The state at the end of a process, and its last line. It is ended after `seconds`."""
    is_late = threading.Event()

    def end() -> None:
        is_late.set()
        os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(seconds, end)
    timer.start()
    last = ""
    for line in process.stdout or ():
        print(line, end="", flush=True)
        last = line.strip()[:TAIL] or last
    process.wait()
    timer.cancel()
    if is_late.is_set():
        return CUT_OFF, last
    return (DONE if process.returncode == 0 else FAILED), last


def _figures(path: Path) -> dict:
    """What the section has written, also when it was cut off; empty where it has written nothing
    whole."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
