"""`retouch openai`: OpenAI's image editing API, until Ctrl-C."""

from __future__ import annotations

import click

from retouch.launcher.server import HOST
from retouch.util import env, extras
from retouch_clients.addresses.server_options import PORT, server_url


@click.command(short_help="Serve OpenAI's image editing API.")
@click.option("--port", type=PORT, default=8080, show_default=True, help="0: a free one.")
@click.option(
    "--host",
    default=HOST,
    show_default=True,
    metavar="ADDR",
    help="The address to listen at; beyond loopback RETOUCH_API_KEYS must be set.",
)
@click.option(
    "--allowed-host",
    multiple=True,
    metavar="NAME",
    help="A name in requests' Host header beside loopback's and the address itself; * for any. Repeatable.",
)
@click.option(
    "--served-model-name",
    multiple=True,
    metavar="NAME",
    help="A name of the default model. Repeatable.  [default: those of OpenAI's image models]",
)
@click.option(
    "--lenient",
    is_flag=True,
    help="Leave out OpenAI's parameters that have no meaning here, and say so.",
)
@click.option(
    "--cors",
    multiple=True,
    metavar="ORIGIN",
    help="A web page's origin that may read answers. Repeatable.",
)
@click.option(
    "--url",
    envvar=env.URL.name,
    help="host:port (gRPC) of a server; without it, the one of `retouch serve`.",
)
@click.option("--start", is_flag=True, help="Start a server too when none runs here.")
@click.option(
    "--max-body-mb",
    type=click.IntRange(1),
    default=96,
    show_default=True,
    help="Of a request, in MiB.",
)
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
) -> None:
    """Serve OpenAI's image editing API until Ctrl-C. RETOUCH_API_KEYS=key,key asks clients for a
    key."""
    extras.check("openai")
    from retouch_clients.openai_api.lanes import ALIASES
    from retouch_clients.openai_api.serving import Options, serve

    options = Options(
        port, max_body_mb << 20, host, allowed_host, served_model_name or ALIASES, lenient, cors
    )
    with server_url(url, http=False, start=start) as address:
        serve(address, options)
