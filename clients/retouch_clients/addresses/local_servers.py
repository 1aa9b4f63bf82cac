"""The `retouch serve` processes on this machine.

Each has a file with its ports, named by its process id."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from retouch.launcher.paths import private_folder
from retouch.launcher.server import HOST, RUNTIME
from retouch_clients.cli.output_files import replace_file

FOLDER = RUNTIME / "running"
CONNECT_SECONDS = 2.0

Ports = dict[str, int]  # by protocol: http, grpc


@contextlib.contextmanager
def announced(ports: Ports) -> Iterator[None]:
    """Publish this process's server to other commands until the block ends.

    Files of killed servers are removed."""
    with contextlib.suppress(OSError):
        private_folder(FOLDER)
    for other in FOLDER.glob("*.json"):
        if not _is_alive(other):
            other.unlink(missing_ok=True)
    own = FOLDER / f"{os.getpid()}.json"
    replace_file(own, json.dumps(ports).encode())
    try:
        yield
    finally:
        own.unlink(missing_ok=True)


def running() -> Ports | None:
    """The ports of the server that was started last. None if no server listens."""
    for _, ports in sorted(_entries(), key=lambda entry: entry[0], reverse=True):
        if all(map(_is_listening, ports.values())):
            return ports
    return None


def _entries() -> Iterator[tuple[float, Ports]]:
    """(start time, ports) of each server whose process is alive. Files may vanish meanwhile."""
    for file in FOLDER.glob("*.json"):
        with contextlib.suppress(FileNotFoundError):
            if _is_alive(file):
                yield file.stat().st_mtime, json.loads(file.read_text())


def _is_alive(file: Path) -> bool:
    try:
        os.kill(int(file.stem), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # the process belongs to another user
    return True


def _is_listening(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True
