"""Bodies are refused while they are read, not when they lie in memory."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clients.openai_api.errors import ApiError

MAX_BODY_BYTES = 64 << 20


class BodyLimit:
    """An app whose requests have bodies of at most `limit` bytes; ApiError 413 where they are read."""

    def __init__(self, app: ASGIApp, limit: int):
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        read = 0

        async def bounded() -> Message:
            nonlocal read
            if not read and self._told(scope) > self._limit:
                raise self._too_large()  # unread: a client that waits to be told to go on need not send it
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._limit:
                raise self._too_large()
            return message

        await self._app(scope, bounded if scope["type"] == "http" else receive, send)

    def _told(self, scope: Scope) -> int:
        length = Headers(scope=scope).get("content-length", "")
        return int(length) if length.isascii() and length.isdigit() else 0

    def _too_large(self) -> ApiError:
        message = f"The body is too large; at most {self._limit} bytes are allowed."
        return ApiError(413, message, "request_too_large", headers={"Connection": "close"})
