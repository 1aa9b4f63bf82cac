"""HTTP/1.1 by uvicorn and h11, with bounded heads: in bytes, and in the time that they take."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

MAX_HEAD_BYTES = 64 << 10
HEAD_SLICE = 4 << 10  # bytes of a head that are taken at a time
HEAD_SECONDS = 20.0  # from a head's first byte to its last
IDLE_SECONDS = 75.0  # of a connection without a request: longer than clients keep one
MARGIN = 2  # seconds for which a connection stays open after the time that clients are told
CODES = {400: "invalid_request", 408: "request_timeout", 431: "head_too_large"}
MESSAGES = {
    400: "This is no whole HTTP/1.1 request.",
    408: "The request's head came too slowly.",
    431: f"The request's head is too large; at most {MAX_HEAD_BYTES >> 10} KiB are allowed.",
}


class GuardedProtocol(H11Protocol):
    """Refuses slow and large heads, and tells a client that closes its side within a body that the
    body is cut."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._timer = self.loop.call_later(IDLE_SECONDS, self._late)

    def data_received(self, data: bytes) -> None:
        begun = self.conn.their_state is h11.IDLE and not self._buffered()
        position = 0
        while (
            self.conn.their_state is h11.IDLE
            and position < len(data)
            and not self.transport.is_closing()
        ):
            super().data_received(
                data[position : position + HEAD_SLICE]
            )  # h11 measures what is no whole head yet
            position += HEAD_SLICE
        if position < len(data) and not self.transport.is_closing():
            super().data_received(data[position:])
        if self.conn.their_state is h11.IDLE and self._buffered():
            if begun or self._timer is None:
                self._stop_timer()
                self._timer = self.loop.call_later(HEAD_SECONDS, self._late)
        else:
            self._stop_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def eof_received(self) -> None:
        """A body that ends too early. uvicorn closes the connection next, after what is written
        here."""
        if self.conn.their_state is h11.SEND_BODY and self.conn.our_state is h11.SEND_RESPONSE:
            self._refuse(400, "The body is cut: it ends before all of it has come.")
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn where it has caught what h11 refuses."""
        error = sys.exc_info()[1]
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        if self.conn.our_state not in (
            h11.IDLE,
            h11.SEND_RESPONSE,
        ):  # an answer is on its way already
            self.transport.close()
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._refuse(status if status in MESSAGES else 400)

    def _buffered(self) -> bool:
        return bool(self.conn.trailing_data[0])

    def _late(self) -> None:
        if self.transport.is_closing():
            return
        if self._buffered() and self.conn.our_state is h11.IDLE:
            self._refuse(408)
        else:
            self.transport.close()

    def _refuse(self, status: int, message: str | None = None) -> None:
        error = {
            "message": message or MESSAGES[status],
            "type": "invalid_request_error",
            "param": None,
            "code": CODES[status],
        }
        body = json.dumps({"error": error}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        reason = STATUS_PHRASES[status]
        for event in (
            h11.Response(status_code=status, headers=headers, reason=reason),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event))
        self.transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def guarded(app: ASGIApp, grace: int) -> uvicorn.Config:
    """How uvicorn serves `app` by this protocol; `grace`: seconds for what is running, when it is
    stopped."""
    return uvicorn.Config(
        app,
        http=GuardedProtocol,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        timeout_keep_alive=int(IDLE_SECONDS) + MARGIN,
        timeout_graceful_shutdown=grace,
        headers=[("Keep-Alive", f"timeout={IDLE_SECONDS:.0f}")],
    )
