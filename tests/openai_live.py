"""The OpenAI-compatible server as a process of its own before fake doors: sockets, heads and times
as they are."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass

START_SECONDS = 60


@dataclass
class Live:
    """A running server: its port on loopback and its process."""

    port: int
    process: subprocess.Popen
    notice: str = ""  # the line after its address, beyond loopback

    def connect(self, timeout: float = 60) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def exchange(self, data: bytes, half_close: bool = False) -> bytes:
        """What is answered to `data`, until the server closes the connection."""
        with self.connect() as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(data)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
            answer = b""
            with contextlib.suppress(ConnectionError):
                while piece := connection.recv(1 << 16):
                    answer += piece
            return answer


@contextlib.contextmanager
def live(**options: object) -> Iterator[Live]:
    """A server with these Options."""
    code = f"import openai_live; openai_live.main({options!r})"
    paths = os.pathsep.join(path for path in sys.path if path)
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    late = threading.Timer(START_SECONDS, process.kill)
    late.start()
    try:
        ready = process.stdout.readline()
        second_line = process.stdout.readline() if options.get("host") else ""
        late.cancel()
        yield Live(int(re.search(r":(\d+)/v1", ready)[1]), process, second_line)
    finally:
        late.cancel()
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def main(options: dict) -> None:
    """In the process: a server before fake doors."""
    from fake_doors import FakeDoors
    from retouch_clients.openai_api import limits, protocol
    from retouch_clients.openai_api.serving import Options, serve_before

    protocol.HEAD_SECONDS = options.pop("head_seconds", protocol.HEAD_SECONDS)
    limits.IDLE_SECONDS = options.pop("idle_seconds", limits.IDLE_SECONDS)
    serve_before(FakeDoors(), Options(port=0, **options))
