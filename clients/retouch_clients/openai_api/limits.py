"""Limits of request bodies: bytes and seconds of each, and memory of all together."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retouch_clients.openai_api.errors import ApiError
from retouch_clients.openai_api.load import Memory

MAX_BODY_BYTES = 96 << 20
TOGETHER = 4  # limit of all bodies, in multiples of the largest body
IDLE_SECONDS = 20.0  # between two chunks
GRACE_SECONDS = 30.0  # for any body; large ones get more
LEAST_RATE = 16 << 10  # bytes per second after that
ON_END = "retouch.on_end"  # scope key of an ExitStack that is closed when the request ends


class BodyLimit:
    """Middleware: reading a body raises ApiError 413 (too large), 408 (slow) or 429 (no memory).

    `limit` is the largest body in bytes."""

    def __init__(self, app: ASGIApp, limit: int):
        self._app = app
        self._limit = limit
        self._memory = Memory(TOGETHER * limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        with ExitStack() as on_end:
            scope[ON_END] = on_end
            await self._app(scope, self._limited(scope, receive, on_end), send)

    def _limited(self, scope: Scope, receive: Receive, on_end: ExitStack) -> Receive:
        read = 0
        begin = None
        more = True

        async def limited_receive() -> Message:
            nonlocal read, begin, more
            if not more:
                return await receive()
            if begin is None:
                begin = time.monotonic()
                if self._content_length(scope) > self._limit:
                    # before reading: a client that sent Expect: 100-continue need not send it
                    raise self._too_large()
            message = await self._in_time(receive, begin, read)
            count = len(message.get("body", b""))
            read = read + count
            more = message.get("more_body", False)
            if read > self._limit:
                raise self._too_large()
            self._memory.take(count)
            on_end.callback(self._memory.give, count)
            return message

        return limited_receive

    async def _in_time(self, receive: Receive, begin: float, read: int) -> Message:
        left = begin + GRACE_SECONDS + read / LEAST_RATE - time.monotonic()
        try:
            return await asyncio.wait_for(receive(), max(0.001, min(IDLE_SECONDS, left)))
        except asyncio.TimeoutError:
            raise ApiError(
                408,
                "The body arrived too slowly; send it again.",
                "request_timeout",
                headers={"Connection": "close"},
            ) from None

    def _content_length(self, scope: Scope) -> int:
        length = Headers(scope=scope).get("content-length", "")
        return int(length[:20]) if length.isascii() and length.isdigit() else 0

    def _too_large(self) -> ApiError:
        message = f"The body is too large; at most {self._limit} bytes are allowed."
        return ApiError(413, message, "request_too_large", headers={"Connection": "close"})
