"""Bodies are bounded while they are read: in bytes, in time, and in what all of them hold
together."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retouch_clients.openai_api.errors import ApiError
from retouch_clients.openai_api.load import Memory

MAX_BODY_BYTES = 96 << 20
TOGETHER = 4  # times the largest body: what all bodies may hold
IDLE_SECONDS = 20.0  # without a byte
GRACE_SECONDS = 30.0  # for any body, and more by its bytes
LEAST_RATE = 16 << 10  # bytes a second beyond that
LEAVING = "retouch.leaving"  # in the scope: an ExitStack that is closed when the request has ended


class BodyLimit:
    """An app whose requests have bodies of at most `limit` bytes; ApiError 413, 408 or 429 where
    they are read."""

    def __init__(self, app: ASGIApp, limit: int):
        self._app = app
        self._limit = limit
        self._memory = Memory(TOGETHER * limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        with ExitStack() as leaving:
            scope[LEAVING] = leaving
            await self._app(scope, self._bounded(scope, receive, leaving), send)

    def _bounded(self, scope: Scope, receive: Receive, leaving: ExitStack) -> Receive:
        read = 0
        begin = None
        more = True

        async def bounded() -> Message:
            nonlocal read, begin, more
            if not more:
                return await receive()
            if begin is None:
                begin = time.monotonic()
                if self._told(scope) > self._limit:
                    # unread: a client that waits to be told to go on need not send it
                    raise self._too_large()
            message = await self._in_time(receive, begin, read)
            count = len(message.get("body", b""))
            read = read + count
            more = message.get("more_body", False)
            if read > self._limit:
                raise self._too_large()
            self._memory.take(count)
            leaving.callback(self._memory.give, count)
            return message

        return bounded

    async def _in_time(self, receive: Receive, begin: float, read: int) -> Message:
        left = begin + GRACE_SECONDS + read / LEAST_RATE - time.monotonic()
        try:
            return await asyncio.wait_for(receive(), max(0.001, min(IDLE_SECONDS, left)))
        except asyncio.TimeoutError:
            raise ApiError(
                408,
                "The body came too slowly; send it again.",
                "request_timeout",
                headers={"Connection": "close"},
            ) from None

    def _told(self, scope: Scope) -> int:
        length = Headers(scope=scope).get("content-length", "")
        return int(length[:20]) if length.isascii() and length.isdigit() else 0

    def _too_large(self) -> ApiError:
        message = f"The body is too large; at most {self._limit} bytes are allowed."
        return ApiError(413, message, "request_too_large", headers={"Connection": "close"})
