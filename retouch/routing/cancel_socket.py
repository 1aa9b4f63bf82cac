"""A lane's mailbox: the doors drop in the tickets of edits that nobody waits for any longer, and
its denoiser takes them out.

A call between models would be slower, and must not be made here: on tritonserver 2.51 a stub that
begins one stream while another thread waits for the next answer of another can stop for good
(`ResponseIterator::Next` asks for the interpreter with its lock held). A datagram takes some
microseconds and meets nobody.

Mailboxes lie beside the lanes' boards (`retouch/routing/load_board.py`). A ticket that cannot be
delivered is lost, so whoever minds an edit drops its ticket again and again."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from retouch.routing.load_board import path_of

TICKET_BYTES = 64
PATIENCE = 1.0  # seconds that a full mailbox is waited for


class CancelListener:
    """The mailbox of `lane`, for the one process that empties it: `take_out` is called with each
    ticket, by a thread of the mailbox's own."""

    def __init__(self, lane: str, take_out: Callable[[str], None]):
        self._path = socket_of(lane)
        self._take_out = take_out
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.suppress(
            OSError
        ):  # no edit fails for it: one that is left then runs to its end
            self._path.unlink(missing_ok=True)
            self._socket.bind(str(self._path))
            os.chmod(self._path, 0o600)
        self._thread = threading.Thread(target=self._empty, name="mailbox", daemon=True)
        self._thread.start()

    def remove(self) -> None:
        """What is dropped afterwards reaches nobody."""
        self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)
        self._thread.join()
        self._socket.close()

    def _empty(self) -> None:
        while ticket := self._socket.recv(TICKET_BYTES):
            self._take_out(ticket.decode(errors="replace"))


def drop(lane: str, ticket: str) -> None:
    """Let the lane's denoiser take the edit with this ticket out before its next step. Where there
    is no such lane or edit, nothing happens."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(PATIENCE)
        sender.sendto(ticket.encode(), str(socket_of(lane)))


def socket_of(lane: str) -> Path:
    board = path_of(lane)
    return board.with_name(f"{board.name}.mail")
