"""Every response has an id, for logs and support."""

from __future__ import annotations

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retouch.util.request_log import new_request_id
from retouch.util.request_log import request_id as log_request_id

NAME = "x-request-id"
SCOPE = "retouch.request_id"  # scope key
ALLOWED = re.compile(r"[A-Za-z0-9._-]{1,128}")


class RequestId:
    """Middleware: responses carry the request's id, or a new one."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        client_id = Headers(scope=scope).get(NAME, "")
        valid = ALLOWED.fullmatch(client_id)
        request_id = client_id if valid else new_request_id()
        scope[SCOPE] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[NAME] = request_id
            await send(message)

        with log_request_id(request_id):
            await self._app(scope, receive, send_with_id)


def request_id_of(scope: Scope) -> str:
    """The id of a request that has passed the middleware."""
    return scope[SCOPE]
