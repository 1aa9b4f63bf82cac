"""HTTP/1.1 by uvicorn and h11, with limits on the size and duration of request headers."""

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
HEAD_SLICE = 4 << 10  # bytes of a header passed to h11 at a time
HEAD_SECONDS = 20.0  # from the first byte of a header to its last
IDLE_SECONDS = 75.0  # of an unused connection; longer than clients keep theirs
MARGIN = 2  # seconds that a connection stays open beyond the announced Keep-Alive
CODES = {400: "invalid_request", 408: "request_timeout", 431: "head_too_large"}
MESSAGES = {
    400: "This is not a complete HTTP/1.1 request.",
    408: "The request's headers arrived too slowly.",
    431: f"The request's headers are too large; at most {MAX_HEAD_BYTES >> 10} KiB are allowed.",
}


class GuardedProtocol(H11Protocol):
    """Rejects slow and large headers, and answers a client that closes its side within a body."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._timer = self.loop.call_later(IDLE_SECONDS, self._timed_out)

    def data_received(self, data: bytes) -> None:
        begun = self.conn.their_state is h11.IDLE and not self._buffered()
        position = 0
        while (
            self.conn.their_state is h11.IDLE
            and position < len(data)
            and not self.transport.is_closing()
        ):
            # h11 checks the size of an incomplete header only
            super().data_received(data[position : position + HEAD_SLICE])
            position += HEAD_SLICE
        if position < len(data) and not self.transport.is_closing():
            super().data_received(data[position:])
        if self.conn.their_state is h11.IDLE and self._buffered():
            if begun or self._timer is None:
                self._stop_timer()
                self._timer = self.loop.call_later(HEAD_SECONDS, self._timed_out)
        else:
            self._stop_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def eof_received(self) -> None:
        """Answer a truncated body. uvicorn then closes the connection."""
        if self.conn.their_state is h11.SEND_BODY and self.conn.our_state is h11.SEND_RESPONSE:
            self._reject(400, "The body is truncated.")
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn in the handler of h11's exception."""
        error = sys.exc_info()[1]
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            # a response has begun
            self.transport.close()
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._reject(status if status in MESSAGES else 400)

    def _buffered(self) -> bool:
        return bool(self.conn.trailing_data[0])

    def _timed_out(self) -> None:
        if self.transport.is_closing():
            return
        if self._buffered() and self.conn.our_state is h11.IDLE:
            self._reject(408)
        else:
            self.transport.close()

    def _reject(self, status: int, message: str | None = None) -> None:
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
    """uvicorn's configuration for `app`. `grace`: seconds for running requests after a stop."""
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
