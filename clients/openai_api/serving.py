"""This server by uvicorn, on loopback or beyond."""

from __future__ import annotations

import socket
from dataclasses import dataclass

import uvicorn

from clients.openai_api.app import create_app
from clients.openai_api.hosts import is_loopback
from clients.openai_api.job import Client
from clients.openai_api.keys import ENVIRONMENT, Keys
from clients.openai_api.lanes import ALIASES
from clients.openai_api.limits import MAX_BODY_BYTES
from clients.openai_api.protocol import IDLE_SECONDS, MAX_HEAD_BYTES, GuardedProtocol
from clients.show import console
from retouch.client import AsyncRetouch, Retries
from retouch.server import HOST, ServerError

LONGEST = 600.0  # seconds for one edit: as long as OpenAI's clients wait
GRACE = 5  # seconds for what is running, when it is stopped
MARGIN = 2  # seconds for which a connection stays open after the time that is told


@dataclass(frozen=True)
class Options:
    """What `retouch openai` may be told; port 0 is a free one."""

    port: int
    max_body: int = MAX_BODY_BYTES
    host: str = HOST
    allowed_hosts: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ALIASES
    lenient: bool = False
    cors: tuple[str, ...] = ()


def serve(url: str, options: Options) -> None:
    """Before the tritonserver at `url` (host:port, gRPC), until Ctrl-C. ServerError: taken, or open without a key."""
    # what is refused is told at once: this server's clients wait and come again by themselves
    serve_before(AsyncRetouch(url, timeout=LONGEST, retries=Retries(attempts=1)), options)


def serve_before(client: Client, options: Options) -> None:
    """The same before any client."""
    public, keys = not is_loopback(options.host), Keys.from_environment()
    if public and not keys.keys:
        raise ServerError(f"{options.host} can be reached by others; set {ENVIRONMENT}=key,key to ask them for a key")
    app = create_app(client, keys, options.max_body, options.aliases, options.lenient, options.cors,
                     options.allowed_hosts)
    config = uvicorn.Config(app, http=GuardedProtocol, ws="none", log_level="warning", access_log=False,
                            server_header=False, h11_max_incomplete_event_size=MAX_HEAD_BYTES,
                            timeout_keep_alive=int(IDLE_SECONDS) + MARGIN, timeout_graceful_shutdown=GRACE,
                            headers=[("Keep-Alive", f"timeout={IDLE_SECONDS:.0f}")])
    with _listening(options) as listening:
        port = listening.getsockname()[1]
        console.print(f"ready: http://{_shown(options.host)}:{port}/v1  (Ctrl-C stops)")
        if public:
            console.print("open to others: edits and models with a key; /health, /ready, /metrics, /docs and "
                          "/openapi.json without one")
        uvicorn.Server(config).run(sockets=[listening])


def _listening(options: Options) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        return socket.create_server((options.host, options.port), family=family, backlog=512)
    except OSError:
        raise ServerError(f"port {options.port} of {options.host} is in use or not allowed; choose another by --port, "
                          "or another address by --host") from None


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
