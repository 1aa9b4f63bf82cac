"""Limits of request bodies, the same as the OpenAI endpoint's."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retouch_clients.openai_api.errors import ApiError
from retouch_clients.openai_api.limits import BodyLimit


class PageBodyLimit:
    """Middleware: request bodies have at most `limit` bytes and arrive in time."""

    def __init__(self, app: ASGIApp, limit: int):
        self._app = app
        self._limited = BodyLimit(RejectedBodies(app), limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Requests without a body are not limited: event streams stay open for hours."""
        headers = Headers(scope=scope) if scope["type"] == "http" else {}
        has_body = "content-length" in headers or "transfer-encoding" in headers
        app = self._limited if has_body else self._app
        await app(scope, receive, send)


class RejectedBodies:
    """Middleware: answers a rejected body itself, as Gradio would turn the error into another."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        failure: ApiError | None = None
        begun = False

        async def receive_and_note() -> Message:
            nonlocal failure
            try:
                return await receive()
            except ApiError as error:
                failure = error
                raise

        async def send_unless_failed(message: Message) -> None:
            nonlocal begun
            if failure is None or begun:
                begun = True
                await send(message)

        try:
            await self._app(scope, receive_and_note, send_unless_failed)
        except Exception:
            if failure is None:
                raise
        if failure is not None and not begun:
            await failure.response()(scope, receive, send)
