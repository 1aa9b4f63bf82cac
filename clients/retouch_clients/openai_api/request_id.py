"""Every answer carries an id, by which logs and people speak of it."""

from __future__ import annotations

import re
import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retouch.util.request_log import request_id

NAME = "x-request-id"
ALLOWED = re.compile(r"[A-Za-z0-9._-]{1,128}")


class RequestId:
    """An app whose answers carry the id that the request came with, or a new one."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        given = Headers(scope=scope).get(NAME, "")
        name = given if ALLOWED.fullmatch(given) else f"req_{secrets.token_hex(12)}"

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[NAME] = name
            await send(message)

        with request_id(name):
            await self._app(scope, receive, named)
