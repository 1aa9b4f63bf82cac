"""The process between a command and its tritonserver: when either ends, however it ends, nothing is left.

Run as `python -m retouch.guard <shm prefix> <server> <arguments…>`. The command holds our standard input's other end
and never writes; its end, even by SIGKILL, closes it. Then the server is stopped in order, its stubs with it, and
its shared memory is removed. The same when a stub has died: tritonserver 2.51 neither starts it again nor answers the request
that it had, and would go on with a model the fewer.
"""

import glob
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

STOP_SECONDS = 20.0
LOOK_EVERY = 1.0  # seconds between looks at the stubs
DEAD_SECONDS = 3.0  # a stub that ends in order is collected by the server within this


def main(prefix: str, command: list[str]) -> int:
    signal.signal(signal.SIGTERM, _close)
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    dead = DeadStubs(server.pid)
    while server.poll() is None and not _closed() and not dead.found():
        pass
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    try:
        os.killpg(server.pid, signal.SIGKILL)  # stubs of a server that ended too early to stop them
    except ProcessLookupError:
        pass
    for region in glob.glob(f"/dev/shm/{glob.escape(prefix)}*"):
        os.unlink(region)
    return server.wait()


class DeadStubs:
    """Children of the server that have ended and are not collected."""

    def __init__(self, server: int):
        self._server, self._since, self._next = server, {}, 0.0

    def found(self) -> bool:
        """Whether one has been dead for DEAD_SECONDS; said once on standard error, the server's log."""
        now, dead = time.monotonic(), {}
        if now < self._next:
            return False
        self._next = now + LOOK_EVERY
        for child in self._children():
            if _state(child) == "Z":
                dead[child] = self._since.get(child, now)
                if now - dead[child] > DEAD_SECONDS:
                    print(f"error: stub {child} has died; the server is stopped", file=sys.stderr)
                    return True
        self._since = dead
        return False

    def _children(self) -> list[str]:
        """Of every thread of the server: the one that started a stub is its parent."""
        lists = Path(f"/proc/{self._server}/task").glob("*/children")
        return [child for each in lists for child in _text(each).split()]


def _state(process: str) -> str:
    """The letter behind the name in parentheses; empty when there is no such process."""
    return _text(Path(f"/proc/{process}/stat")).rpartition(") ")[2][:1]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _close(*_: object) -> None:
    """The same as the command's end, however often we are told."""
    try:
        os.close(0)
    except OSError:
        pass


def _closed() -> bool:
    try:
        return bool(select.select([0], [], [], 0.1)[0])
    except (OSError, ValueError):
        return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
