"""Cancellation between processes: an endpoint sends the id of a request to the lane's denoiser,
which evicts the edit.

A datagram takes some microseconds. A call between models would be slower, and is not safe here: on
tritonserver 2.51 a stub can hang when it begins one stream while another thread waits for the next
answer of another (`ResponseIterator::Next` asks for the interpreter with its lock held).

Sockets lie beside the lanes' load reports (`retouch/routing/load_board.py`). A datagram that cannot
be delivered is lost, so the endpoint repeats it until the edit has ended."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from retouch.routing.load_board import path_of

MAX_ID_BYTES = 64
SEND_TIMEOUT = 1.0  # seconds to wait for a full socket


class CancelListener:
    """The cancel socket of `lane`, for the process of its denoiser. A thread calls `cancel` with
    every request id that arrives."""

    def __init__(self, lane: str, cancel: Callable[[str], None]):
        """A socket that cannot be made is no error: cancelled edits then run to their end."""
        self._path = socket_of(lane)
        self._cancel = cancel
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
            self._socket.bind(str(self._path))
            os.chmod(self._path, 0o600)
        self._thread = threading.Thread(target=self._listen, name="cancel listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the thread and remove the socket."""
        self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while request_id := self._socket.recv(MAX_ID_BYTES):
            self._cancel(request_id.decode(errors="replace"))


def send_cancel(lane: str, request_id: str) -> None:
    """Ask the lane's denoiser to evict an edit before its next step. An unknown lane or edit is no
    error."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(SEND_TIMEOUT)
        sender.sendto(request_id.encode(), str(socket_of(lane)))


def socket_of(lane: str) -> Path:
    """The path of the lane's cancel socket."""
    report = path_of(lane)
    return report.with_name(f"{report.name}.cancel")
