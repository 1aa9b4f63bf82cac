"""Only the page itself may send requests: browsers attach the password to other pages' too."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from retouch_clients.openai_api.hosts import is_exact_loopback, name_of

MESSAGE = "Another web page sent this request; only this page may."


class OriginCheck:
    """Middleware: rejects requests from other web pages with 403.

    The Origin must have the name in Host, a loopback name, or one of `allowed`. The last is for
    proxies that change Host."""

    def __init__(self, app: ASGIApp, allowed: Iterable[str] = ()):
        self._app = app
        self._allowed = {name_of(name) for name in allowed}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_allowed(Headers(scope=scope)):
            return await self._app(scope, receive, send)
        await PlainTextResponse(MESSAGE, 403)(scope, receive, send)

    def _is_allowed(self, headers: Headers) -> bool:
        for origin in headers.getlist("origin"):
            name = _name_in(origin)
            own = name_of(headers.get("host", ""))
            if not name or not (name == own or name in self._allowed or is_exact_loopback(name)):
                return False
        return True


def _name_in(origin: str) -> str:
    """The host of an origin; "" if it has none, such as "null" of a sandboxed frame."""
    try:
        return (urlsplit(origin).hostname or "").rstrip(".")
    except ValueError:
        return ""
