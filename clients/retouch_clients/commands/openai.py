"""`retouch openai`: serve OpenAI's image editing API until Ctrl-C."""

from __future__ import annotations

import click

from retouch.launcher.server import HOST
from retouch.util import env, extras
from retouch_clients.addresses.server_options import PORT, server_url
from retouch_clients.feedback.settings import Settings, feedback_options


@click.command(short_help="Serve OpenAI's image editing API.")
@click.option("--port", type=PORT, default=8080, show_default=True, help="0: any free port.")
@click.option(
    "--host",
    default=HOST,
    show_default=True,
    metavar="ADDR",
    help="The address to listen on. Addresses beyond loopback require RETOUCH_API_KEYS.",
)
@click.option(
    "--allowed-host",
    multiple=True,
    metavar="NAME",
    help="Accept this name in the Host header, besides loopback names and the address itself; "
    "* accepts any. Repeatable.",
)
@click.option(
    "--served-model-name",
    multiple=True,
    metavar="NAME",
    help="A model name for the default model. Repeatable.  [default: OpenAI's image models]",
)
@click.option(
    "--lenient",
    is_flag=True,
    help="Ignore unsupported OpenAI parameters and report them, instead of returning an error.",
)
@click.option(
    "--cors",
    multiple=True,
    metavar="ORIGIN",
    help="Allow web pages of this origin to read responses. Repeatable.",
)
@click.option(
    "--url",
    envvar=env.URL.name,
    help="host:port (gRPC) of a server.  [default: the running `retouch serve`]",
)
@click.option("--start", is_flag=True, help="Start a server if none is running.")
@click.option(
    "--max-body-mb",
    type=click.IntRange(1),
    default=96,
    show_default=True,
    help="Maximum size of a request, in MiB.",
)
@feedback_options
def openai(
    port: int,
    host: str,
    allowed_host: tuple[str, ...],
    served_model_name: tuple[str, ...],
    lenient: bool,
    cors: tuple[str, ...],
    url: str | None,
    start: bool,
    max_body_mb: int,
    feedback: str | None,
    feedback_images: float,
) -> None:
    """Serve OpenAI's image editing API until Ctrl-C.

    Set RETOUCH_API_KEYS=key,key to require an API key."""
    extras.check("openai")
    from retouch_clients.openai_api.lanes import ALIASES
    from retouch_clients.openai_api.serving import Options, serve

    options = Options(
        port,
        max_body_mb << 20,
        host,
        allowed_host,
        served_model_name or ALIASES,
        lenient,
        cors,
        Settings.of(feedback, feedback_images),
    )
    with server_url(url, http=False, start=start) as address:
        serve(address, options)
