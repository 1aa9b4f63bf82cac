"""The web pages that may use this one: itself. Browsers send a password along for other pages'
requests too."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from retouch_clients.openai_api.hosts import is_loopback, name_of

SENTENCE = "Another web page sent this request; only this page may."


class OriginCheck:
    """An app for requests that no foreign web page makes: their Origin has the name that they are
    sent to, a loopback name, or one of `allowed`, which a proxy needs that puts another Host into
    its requests."""

    def __init__(self, app: ASGIApp, allowed: Iterable[str] = ()):
        self._app = app
        self._allowed = {name_of(name) for name in allowed}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._may(Headers(scope=scope)):
            return await self._app(scope, receive, send)
        await PlainTextResponse(SENTENCE, 403)(scope, receive, send)

    def _may(self, headers: Headers) -> bool:
        for origin in headers.getlist("origin"):
            name = _name_in(origin)
            if not (
                name
                and (
                    name == name_of(headers.get("host", ""))
                    or name in self._allowed
                    or is_loopback(name)
                )
            ):
                return False
        return True


def _name_in(origin: str) -> str:
    """The host of an origin; "" where it has none, as "null" of a frame without rights."""
    try:
        return (urlsplit(origin).hostname or "").rstrip(".")
    except ValueError:
        return ""
