"""The socket at which a server of ours listens, and how its address is shown."""

from __future__ import annotations

import socket

from retouch.launcher.server import ServerError

BACKLOG = 512  # connections that wait to be accepted


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 is a free one. ServerError where it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError:
        raise ServerError(
            f"port {port} of {host} is in use or not allowed; choose another by --port, "
            "or another address by --host"
        ) from None


def shown(host: str) -> str:
    """The address as it stands in a URL."""
    return f"[{host}]" if ":" in host else host
