"""The supervisor between a command and its server leaves nothing, however often it must stop."""

from __future__ import annotations

import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

# takes a second to stop
SERVER = "trap 'sleep 1; exit 7' TERM; echo ready; while :; do sleep 0.05; done"


@pytest.fixture
def prefix():
    """Of what the server has in /dev/shm, with a file of that name."""
    name = f"retouch_test_{uuid.uuid4().hex}_"
    Path("/dev/shm", f"{name}region").touch()
    yield name
    Path("/dev/shm", f"{name}region").unlink(missing_ok=True)


@pytest.mark.parametrize("signals", ["once", "twice", "by its standard input"])
def test_it_stops_the_server_and_removes_its_shared_memory(prefix, signals):
    supervisor = subprocess.Popen(
        [sys.executable, "-S", "-m", "retouch.launcher.supervisor", prefix, "sh", "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert supervisor.stdout.readline() == "ready\n"
    if signals == "by its standard input":
        supervisor.stdin.close()
        supervisor.stdin = None  # communicate would close it again
    else:
        supervisor.send_signal(signal.SIGTERM)
        if signals == "twice":
            with pytest.raises(subprocess.TimeoutExpired):
                supervisor.wait(0.5)  # while it waits for the server
            supervisor.send_signal(signal.SIGTERM)
    _, message = supervisor.communicate(timeout=30)
    assert (supervisor.returncode, message) == (7, "")
    assert not list(Path("/dev/shm").glob(f"{prefix}*"))
