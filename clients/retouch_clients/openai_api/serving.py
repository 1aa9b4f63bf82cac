"""Run the OpenAI-compatible server with uvicorn."""

from __future__ import annotations

from dataclasses import dataclass

import uvicorn

from retouch.client import AsyncRetouch, Retries
from retouch.launcher.server import HOST, ServerError
from retouch.util.request_log import log_to_stderr
from retouch_clients.addresses.listening import listen, url_host
from retouch_clients.cli.console import console
from retouch_clients.feedback.settings import Settings
from retouch_clients.openai_api.api_keys import ENVIRONMENT, Keys
from retouch_clients.openai_api.app import create_app
from retouch_clients.openai_api.edit_job import Client
from retouch_clients.openai_api.hosts import is_exact_loopback
from retouch_clients.openai_api.lanes import ALIASES
from retouch_clients.openai_api.limits import MAX_BODY_BYTES
from retouch_clients.openai_api.protocol import guarded

TIMEOUT = 600.0  # seconds for one edit; OpenAI's clients wait as long
GRACE = 5  # seconds for running requests after a stop


@dataclass(frozen=True)
class Options:
    """The options of `retouch openai`. Port 0: any free port."""

    port: int
    max_body: int = MAX_BODY_BYTES
    host: str = HOST
    allowed_hosts: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ALIASES
    lenient: bool = False
    cors: tuple[str, ...] = ()
    feedback: Settings | None = None


def serve(url: str, options: Options) -> None:
    """Serve in front of the tritonserver at `url` (host:port, gRPC) until Ctrl-C.

    ServerError if the port is unavailable, or other machines could use it without an API key."""
    # no retries here: this server's clients retry by themselves
    serve_before(AsyncRetouch(url, timeout=TIMEOUT, retries=Retries(attempts=1)), options)


def serve_before(client: Client, options: Options) -> None:
    """Serve in front of any client."""
    log_to_stderr()
    public = not is_exact_loopback(options.host)
    keys = Keys.from_environment()
    if public and not keys.keys:
        raise ServerError(
            f"other machines can reach {options.host}; "
            f"set {ENVIRONMENT}=key,key to require an API key"
        )
    app = create_app(
        client,
        keys,
        options.max_body,
        options.aliases,
        options.lenient,
        options.cors,
        options.allowed_hosts,
        options.feedback,
    )
    with listen(options.host, options.port) as listening:
        port = listening.getsockname()[1]
        console.print(f"ready: http://{url_host(options.host)}:{port}/v1  (Ctrl-C stops)")
        if public:
            console.print(
                "other machines can reach edits and models with a key, "
                "and /health, /ready, /metrics, /docs and /openapi.json without one"
            )
        uvicorn.Server(guarded(app, GRACE)).run(sockets=[listening])
