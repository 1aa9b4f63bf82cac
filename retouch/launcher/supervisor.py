"""The process between a command and its tritonserver: when either ends, however it ends, nothing is
left.

Run as `python -m retouch.launcher.supervisor <shm prefix> <server> <arguments…>`. The command holds
our standard input's other end and never writes; its end, even by SIGKILL, closes it. Then the
server is stopped in order, its stubs with it, and its shared memory is removed. A server that has
lost a stub or a model is killed at once: tritonserver 2.51 does not start the stub again, does not
answer the request that it had, cannot stop in order, and says that it is ready.

RETOUCH_GUARD, where it is set, is JSON of what else there is to do: `host`, `http` (its port),
`secret`, `models` and `boards` of the server to watch, and the paths to `remove` at the end."""

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
IDLE_STOP_SECONDS = (
    1.0  # of a server without running edits, whose stubs would end one by one, a second each
)
LOOK_EVERY = 0.25  # seconds between looks at the stubs
LIST_EVERY = 2.0  # seconds between lists of them: that reads a file of each of the server's threads
TIDY_EVERY = 1.0  # seconds between looks at the log's size and at the shared memory
DEAD_SECONDS = 0.5  # that a stub stays dead before the server is killed for it
STARTING_SECONDS = (
    3.0  # the same while models load: a start that fails is told by the server itself
)


def main(prefix: str, command: list[str]) -> int:
    """Exit code of the server; negative when a signal ended it."""
    signal.signal(signal.SIGTERM, _close)
    log_to_stderr()
    duties: dict[str, Any] = json.loads(env.GUARD.pop())
    os.umask(0o077)
    if duties.get("secret"):
        command = [
            *command,
            *options(duties["secret"]),
        ]  # not in our own arguments, which every user can read
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        if _serves_until_asked(server, prefix, duties):
            _stop(server, STOP_SECONDS if _edits(duties) else IDLE_STOP_SECONDS)
    finally:
        _kill(server)  # with stubs of a server that ended too early to stop them
        for region in glob.glob(f"/dev/shm/{glob.escape(prefix)}*"):
            _remove(region)
        for path in duties.get("remove", []):
            _remove(path)
    return server.wait()


def _serves_until_asked(server: subprocess.Popen, prefix: str, duties: dict[str, Any]) -> bool:
    """Until the server ends or is to stop; False when it is beyond an orderly stop."""
    models = (
        ModelWatch(duties["host"], duties["http"], duties["secret"], duties["models"])
        if "http" in duties
        else None
    )
    dead = DeadStubs(server.pid)
    hidden = False
    tidied = 0.0
    while server.poll() is None and not _closed():
        if time.monotonic() - tidied > TIDY_EVERY or (models is not None and not models.ready):
            tidied = time.monotonic()
            bound(sys.stderr.fileno())
            _close_to_others(prefix)
        hidden = hidden or _hide(server.pid, duties.get("secret", ""))
        if dead.found(DEAD_SECONDS if models is None or models.ready else STARTING_SECONDS):
            return False
        if models is not None and models.gone:
            names = ", ".join(models.gone)
            log.error("%s can no longer be used; the server is stopped", names)
            return False
    return True


def _close_to_others(prefix: str) -> None:
    """Shared memory is for its owner alone; the stubs' native code makes it readable to all,
    whatever the umask."""
    for region in glob.glob(f"/dev/shm/{glob.escape(prefix)}*"):
        with contextlib.suppress(OSError):
            if os.stat(region, follow_symlinks=False).st_mode & 0o077:
                os.chmod(region, 0o600)


def _edits(duties: dict[str, Any]) -> bool:
    """Whether edits run, or may run for all that is known."""
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
            shutil.rmtree(path, ignore_errors=True)  # of links: what they point to stays
        else:
            os.unlink(path)


class DeadStubs:
    """Children of the server that have ended and are not collected."""

    def __init__(self, server: int):
        self._server = server
        self._since: dict[str, float] = {}
        self._next = 0.0
        self._children: list[str] = []
        self._listed = 0.0

    def found(self, patience: float = DEAD_SECONDS) -> bool:
        """Whether one has been dead for `patience` seconds; printed once to standard error, the
        server's log."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + LOOK_EVERY
        if now - self._listed > LIST_EVERY:
            self._children = children(self._server)
            self._listed = now
        since = {
            child: self._since.get(child, now) for child in self._children if _state(child) == "Z"
        }
        self._since = since
        for child, moment in since.items():
            if now - moment > patience:
                log.error("stub %s has died; the server is stopped", child)
                return True
        return False


def children(server: int) -> list[str]:
    """Of every thread of the server: the one that started a stub is its parent."""
    lists = Path(f"/proc/{server}/task").glob("*/children")
    return [child for path in lists for child in _text(path).split()]


def _hide(server: int, secret: str) -> bool:
    """Blank the secret out of the server's arguments, which every user of the machine can read.

    The server has read them when it has children. Where the kernel does not allow it, they stay as
    they are."""
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
