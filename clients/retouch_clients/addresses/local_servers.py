"""The servers of `retouch serve` that run here: each has a file with its ports, named by the
process that serves."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from retouch.launcher.paths import private_folder
from retouch.launcher.server import HOST, RUNTIME
from retouch_clients.cli.console import write

FOLDER = RUNTIME / "running"
CONNECT_SECONDS = 2.0

Ports = dict[str, int]  # of http and grpc


@contextlib.contextmanager
def announced(ports: Ports) -> Iterator[None]:
    """Other commands find this process's server until the end. What killed servers have left is
    cleared away."""
    with contextlib.suppress(OSError):
        private_folder(FOLDER)
    for other in FOLDER.glob("*.json"):
        if not _lives(other):
            other.unlink(missing_ok=True)
    own = FOLDER / f"{os.getpid()}.json"
    write(own, json.dumps(ports).encode())
    try:
        yield
    finally:
        own.unlink(missing_ok=True)


def running() -> Ports | None:
    """The ports of the server that was started last; None when none listens, whatever files there
    are."""
    for _, ports in sorted(_entries(), key=lambda entry: entry[0], reverse=True):
        if all(map(_listens, ports.values())):
            return ports
    return None


def _entries() -> Iterator[tuple[float, Ports]]:
    """Of living processes: when each began to serve, and its ports. A file may go while it is
    looked at."""
    for file in FOLDER.glob("*.json"):
        with contextlib.suppress(FileNotFoundError):
            if _lives(file):
                yield file.stat().st_mtime, json.loads(file.read_text())


def _lives(file: Path) -> bool:
    try:
        os.kill(int(file.stem), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is another user's
    return True


def _listens(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True
