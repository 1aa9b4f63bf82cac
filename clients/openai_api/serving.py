"""This server on loopback, by uvicorn."""

from __future__ import annotations

import socket

import uvicorn

from clients.openai_api.app import create_app
from clients.openai_api.keys import Keys
from clients.show import console
from retouch.client import AsyncRetouch, Retries
from retouch.server import HOST, ServerError

LONGEST = 600.0  # seconds for one edit: as long as OpenAI's clients wait
GRACE = 5  # seconds for what is running, when it is stopped


def serve(url: str, port: int, max_body: int) -> None:
    """Before the tritonserver at `url` (host:port, gRPC), until Ctrl-C; port 0 is a free one. ServerError: taken."""
    # what is refused is told at once: this server's clients wait and come again by themselves
    client = AsyncRetouch(url, timeout=LONGEST, retries=Retries(attempts=1))
    app = create_app(client, Keys.from_environment(), max_body)
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False,
                            timeout_graceful_shutdown=GRACE)
    try:
        listening = socket.create_server((HOST, port), backlog=512)
    except OSError:
        raise ServerError(f"port {port} of {HOST} is in use or not allowed; choose another by --port") from None
    with listening:
        console.print(f"ready: http://{HOST}:{listening.getsockname()[1]}/v1  (Ctrl-C stops)")
        uvicorn.Server(config).run(sockets=[listening])
