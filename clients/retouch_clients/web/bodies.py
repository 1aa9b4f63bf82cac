"""Bodies that the page takes: bounded as the OpenAI endpoint's are."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retouch_clients.openai_api.errors import ApiError
from retouch_clients.openai_api.limits import BodyLimit


class Bodies:
    """An app whose requests have bodies of at most `limit` bytes, which come in time."""

    def __init__(self, app: ASGIApp, limit: int):
        self._app = app
        self._bounded = BodyLimit(Refusals(app), limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Streams of events have no body and stay open for hours: their connections are not waited
        for here."""
        headers = Headers(scope=scope) if scope["type"] == "http" else {}
        app = (
            self._bounded
            if "content-length" in headers or "transfer-encoding" in headers
            else self._app
        )
        await app(scope, receive, send)


class Refusals:
    """An app in whose place a refused body is answered: Gradio makes other failures of it."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        failure: ApiError | None = None
        begun = False

        async def noted() -> Message:
            nonlocal failure
            try:
                return await receive()
            except ApiError as refused:
                failure = refused
                raise

        async def answered(message: Message) -> None:
            nonlocal begun
            if failure is None or begun:
                begun = True
                await send(message)

        try:
            await self._app(scope, noted, answered)
        except Exception:
            if failure is None:
                raise
        if failure is not None and not begun:
            await failure.response()(scope, receive, send)
