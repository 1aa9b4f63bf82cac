"""Run monitoring tools until Ctrl-C, or until one of them stops."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator

from retouch.launcher.server import RUNTIME
from retouch.util import env
from retouch_clients.monitor.tools import MonitorError, Tool

STOP_SECONDS = 10.0
POLL_SECONDS = 0.5


@contextlib.contextmanager
def running(tools: list[Tool]) -> Iterator[list[subprocess.Popen]]:
    """Start the tools, and stop them when the block ends."""
    RUNTIME.mkdir(exist_ok=True)
    with (RUNTIME / "monitor.log").open("wb") as log:
        started: list[subprocess.Popen] = []
        try:
            for tool in tools:
                started.append(
                    subprocess.Popen(
                        tool.command,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                        env=env.of_child(tool.environment),
                    )
                )
            yield started
        finally:
            for process in started:
                process.send_signal(signal.SIGTERM)
            for process in started:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_SECONDS)
                process.kill()


def watch(tools: list[Tool]) -> None:
    """Run the tools until Ctrl-C; MonitorError if one of them stops."""
    with running(tools) as processes:
        while all(process.poll() is None for process in processes):
            time.sleep(POLL_SECONDS)
        stopped = [tool for tool, process in zip(tools, processes) if process.poll() is not None]
    raise MonitorError(f"{stopped[0].name} has stopped; the log is {RUNTIME / 'monitor.log'}")
