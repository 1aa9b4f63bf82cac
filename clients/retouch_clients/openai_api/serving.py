"""This server by uvicorn, on loopback or beyond."""

from __future__ import annotations

from dataclasses import dataclass

import uvicorn

from retouch.client import AsyncRetouch, Retries
from retouch.launcher.server import HOST, ServerError
from retouch.util.request_log import log_to_stderr
from retouch_clients.addresses.listening import listen, shown
from retouch_clients.cli.console import console
from retouch_clients.openai_api.api_keys import ENVIRONMENT, Keys
from retouch_clients.openai_api.app import create_app
from retouch_clients.openai_api.edit_job import Client
from retouch_clients.openai_api.hosts import is_loopback
from retouch_clients.openai_api.lanes import ALIASES
from retouch_clients.openai_api.limits import MAX_BODY_BYTES
from retouch_clients.openai_api.protocol import guarded

LONGEST = 600.0  # seconds for one edit: as long as OpenAI's clients wait
GRACE = 5  # seconds for what is running, when it is stopped


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
    """Before the tritonserver at `url` (host:port, gRPC), until Ctrl-C. ServerError: taken, or open
    without a key."""
    # what is refused is told at once: this server's clients wait and come again by themselves
    serve_before(AsyncRetouch(url, timeout=LONGEST, retries=Retries(attempts=1)), options)


def serve_before(client: Client, options: Options) -> None:
    """The same before any client."""
    log_to_stderr()
    public = not is_loopback(options.host)
    keys = Keys.from_environment()
    if public and not keys.keys:
        raise ServerError(
            f"{options.host} can be reached by others; set {ENVIRONMENT}=key,key to ask them for a key"
        )
    app = create_app(
        client,
        keys,
        options.max_body,
        options.aliases,
        options.lenient,
        options.cors,
        options.allowed_hosts,
    )
    with listen(options.host, options.port) as listening:
        port = listening.getsockname()[1]
        console.print(f"ready: http://{shown(options.host)}:{port}/v1  (Ctrl-C stops)")
        if public:
            console.print(
                "open to others: edits and models with a key; /health, /ready, /metrics, /docs and "
                "/openapi.json without one"
            )
        uvicorn.Server(guarded(app, GRACE)).run(sockets=[listening])
