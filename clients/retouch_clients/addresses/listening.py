"""Sockets that our HTTP servers listen on, and how their addresses are printed."""

from __future__ import annotations

import socket

from retouch.launcher.server import ServerError

BACKLOG = 512  # connections that wait to be accepted


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 picks a free port. ServerError if the address cannot be bound."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError:
        raise ServerError(
            f"port {port} of {host} is in use or not permitted; choose another port with --port, "
            "or another address with --host"
        ) from None


def url_host(host: str) -> str:
    """The host as it is written in a URL: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host
