"""The names under which this server may be called: a web page that gives its own name our address
is refused."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from retouch_clients.openai_api.errors import ApiError

ANY = "*"


class HostCheck:
    """An app for requests whose Host is a loopback name, the address they came to, or one of
    `allowed`."""

    def __init__(self, app: ASGIApp, allowed: Iterable[str] = ()):
        self._app = app
        self._allowed = {name.strip().lower().strip("[]") for name in allowed}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._may(Headers(scope=scope).getlist("host"), scope):
            return await self._app(scope, receive, send)
        failure = ApiError(
            403,
            "This Host is not allowed here; the server's option --allowed-host adds names.",
            "host_not_allowed",
        )
        await failure.response()(scope, receive, send)

    def _may(self, hosts: list[str], scope: Scope) -> bool:
        """HTTP/1.0 needs no Host, and no browser leaves it out."""
        if ANY in self._allowed or not hosts:
            return True
        name = name_of(hosts[0])
        server = (scope.get("server") or ("",))[0]
        return len(hosts) == 1 and (is_loopback(name) or name in self._allowed or name == server)


def name_of(host: str) -> str:
    """Without port and brackets, in lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")


def is_loopback(name: str) -> bool:
    """Whether it is this machine's alone."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
