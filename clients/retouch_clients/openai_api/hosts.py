"""Accepted names in the Host header, against DNS rebinding by web pages."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from retouch_clients.openai_api.errors import ApiError

ANY = "*"


class HostCheck:
    """Middleware: rejects requests with a foreign Host with 403.

    Accepted are loopback names, the address that was connected to, and `allowed`; "*" is any."""

    def __init__(self, app: ASGIApp, allowed: Iterable[str] = ()):
        self._app = app
        self._allowed = {name.strip().lower().strip("[]") for name in allowed}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_allowed(Headers(scope=scope).getlist("host"), scope):
            return await self._app(scope, receive, send)
        failure = ApiError(
            403,
            "This Host is not allowed; the server's option --allowed-host adds names.",
            "host_not_allowed",
        )
        await failure.response()(scope, receive, send)

    def _is_allowed(self, hosts: list[str], scope: Scope) -> bool:
        """A request without Host is accepted: HTTP/1.0 has none, and browsers always send it."""
        if ANY in self._allowed or not hosts:
            return True
        name = name_of(hosts[0])
        server = (scope.get("server") or ("",))[0]
        known = is_exact_loopback(name) or name in self._allowed or name == server
        return len(hosts) == 1 and known


def name_of(host: str) -> str:
    """The host without port and brackets, in lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")


def is_exact_loopback(name: str) -> bool:
    """Whether the name is `localhost` or a loopback IP address.

    Stricter than `retouch.launcher.secret.is_loopback`: names such as app.localhost do not count,
    as a resolver decides where they lead."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
