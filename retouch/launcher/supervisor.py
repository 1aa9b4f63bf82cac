"""The process between a command and its tritonserver. When either ends, it stops the server and
removes its files.

Run as `python -m retouch.launcher.supervisor <shm prefix> <server> <arguments…>`. The command holds
the other end of standard input and never writes. When the command ends, even by SIGKILL, standard
input closes. Then the supervisor stops the server and its stubs, and removes its shared memory.

A server that has lost a stub or a model is killed at once. Tritonserver 2.51 does not start the
stub again, leaves its request without an answer, cannot stop in order, and reports that it is
ready.

RETOUCH_GUARD, if set, is JSON of further duties: `host`, `http` (a port), `secret`, `models` and
`boards` (a prefix) of the server to watch, and paths to `remove` at the end."""

from __future__ import annotations

import contextlib
import glob
import json
import logging
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from retouch.launcher.log_files import bound
from retouch.launcher.model_watch import ModelWatch
from retouch.launcher.secret import options
from retouch.serving.drain import is_idle
from retouch.util import env
from retouch.util.request_log import log_to_stderr

log = logging.getLogger("retouch.launcher.supervisor")  # also where it is __main__

STOP_SECONDS = 20.0
IDLE_STOP_SECONDS = 1.0  # without running edits; the stubs would end one by one, a second each
CHECK_EVERY = 0.25  # seconds between checks of the stubs
LIST_EVERY = 2.0  # seconds between lists of stubs, which read a file of every server thread
TIDY_EVERY = 1.0  # seconds between checks of the log's size and of the shared memory
DEAD_SECONDS = 0.5  # from a stub's death until the server is killed for it
STARTING_SECONDS = 3.0  # the same while models load: the server itself reports a failed start


def main(prefix: str, command: list[str]) -> int:
    """Exit code of the server; negative when a signal ended it."""
    signal.signal(signal.SIGTERM, _close_input)
    log_to_stderr()
    duties: dict[str, Any] = json.loads(env.GUARD.pop())
    os.umask(0o077)
    if duties.get("secret"):
        # not in this process's arguments, which every user can read
        command = [*command, *options(duties["secret"])]
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        if _watch(server, prefix, duties):
            _stop(server, STOP_SECONDS if _has_edits(duties) else IDLE_STOP_SECONDS)
    finally:
        _kill(server)  # also the stubs of a server that ended before it could stop them
        for region in glob.glob(f"/dev/shm/{glob.escape(prefix)}*"):
            _remove(region)
        for path in duties.get("remove", []):
            _remove(path)
    return server.wait()


def _watch(server: subprocess.Popen, prefix: str, duties: dict[str, Any]) -> bool:
    """Return when the server has ended or must stop; False when it can no longer stop in order."""
    model_watch = (
        ModelWatch(duties["host"], duties["http"], duties["secret"], duties["models"])
        if "http" in duties
        else None
    )
    stubs = StubWatch(server.pid)
    is_secret_hidden = False
    tidied_at = 0.0
    while server.poll() is None and not _is_input_closed():
        is_loading = model_watch is not None and not model_watch.ready
        if time.monotonic() - tidied_at > TIDY_EVERY or is_loading:
            tidied_at = time.monotonic()
            bound(sys.stderr.fileno())
            _close_to_others(prefix)
        is_secret_hidden = is_secret_hidden or _hide_secret(server.pid, duties.get("secret", ""))
        if stubs.has_dead(STARTING_SECONDS if is_loading else DEAD_SECONDS):
            return False
        if model_watch is not None and model_watch.gone:
            names = ", ".join(model_watch.gone)
            log.error("%s can no longer be used; the server is stopped", names)
            return False
    return True


def _close_to_others(prefix: str) -> None:
    """Make the shared memory readable to its owner only. The stubs' native code makes it readable
    to all and ignores the umask."""
    for region in glob.glob(f"/dev/shm/{glob.escape(prefix)}*"):
        with contextlib.suppress(OSError):
            if os.stat(region, follow_symlinks=False).st_mode & 0o077:
                os.chmod(region, 0o600)


def _has_edits(duties: dict[str, Any]) -> bool:
    """Whether edits may be running; True when that is unknown."""
    return "boards" not in duties or not is_idle(duties["boards"])


def _stop(server: subprocess.Popen, seconds: float) -> None:
    server.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(seconds)


def _kill(server: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)  # removes links, not their targets
        else:
            os.unlink(path)


class StubWatch:
    """The stubs of a server: its child processes. A dead one stays a zombie."""

    def __init__(self, server: int):
        self._server = server
        self._dead_since: dict[str, float] = {}
        self._next_check = 0.0
        self._children: list[str] = []
        self._listed_at = 0.0

    def has_dead(self, seconds: float = DEAD_SECONDS) -> bool:
        """Whether a stub has been dead for `seconds`; logs it to standard error, the server's
        log."""
        now = time.monotonic()
        if now < self._next_check:
            return False
        self._next_check = now + CHECK_EVERY
        if now - self._listed_at > LIST_EVERY:
            self._children = children(self._server)
            self._listed_at = now
        self._dead_since = {
            child: self._dead_since.get(child, now)
            for child in self._children
            if _state(child) == "Z"
        }
        for child, moment in self._dead_since.items():
            if now - moment > seconds:
                log.error("stub %s has died; the server is stopped", child)
                return True
        return False


def children(server: int) -> list[str]:
    """Process ids of the children of all server threads: a stub's parent is the thread that started
    it."""
    lists = Path(f"/proc/{server}/task").glob("*/children")
    return [child for path in lists for child in _text(path).split()]


def _hide_secret(server: int, secret: str) -> bool:
    """Blank the secret out of the server's arguments, which every user of the machine can read.

    Returns whether it is done. The server has read its arguments when it has children. Where the
    kernel forbids it, they stay as they are."""
    if not secret:
        return True
    if not children(server):
        return False
    with contextlib.suppress(OSError, ValueError, IndexError):
        begin, end = map(
            int, _text(Path(f"/proc/{server}/stat")).rpartition(") ")[2].split()[45:47]
        )
        with open(f"/proc/{server}/mem", "r+b", buffering=0) as memory:
            memory.seek(begin)
            arguments = memory.read(end - begin)
            memory.seek(begin)
            memory.write(arguments.replace(secret.encode(), b"*" * len(secret)))
    return True


def _state(process: str) -> str:
    """The state letter of a process; empty when there is no such process."""
    return _text(Path(f"/proc/{process}/stat")).rpartition(") ")[2][:1]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _close_input(*_: object) -> None:
    """Stop as when the command ends. Further signals change nothing."""
    with contextlib.suppress(OSError):
        os.close(0)


def _is_input_closed() -> bool:
    try:
        return bool(select.select([0], [], [], 0.1)[0])
    except (OSError, ValueError):
        return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
