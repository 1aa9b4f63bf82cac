"""`retouch openai`: OpenAI's image editing API, until Ctrl-C."""

from __future__ import annotations

import click

from clients.address import PORT, server_url


@click.command(short_help="Serve OpenAI's image editing API.")
@click.option("--port", type=PORT, default=8080, show_default=True, help="0: a free one.")
@click.option("--url", envvar="RETOUCH_URL", help="host:port (gRPC) of a server; without it, the one of `retouch serve`.")
@click.option("--start", is_flag=True, help="Start a server too when none runs here.")
@click.option("--max-body-mb", type=click.IntRange(1), default=64, show_default=True, help="Of a request, in MiB.")
def openai(port: int, url: str | None, start: bool, max_body_mb: int) -> None:
    """Serve OpenAI's image editing API on 127.0.0.1 until Ctrl-C. RETOUCH_API_KEYS=key,key asks clients for a key."""
    from clients.openai_api.serving import serve

    with server_url(url, http=False, start=start) as address:
        serve(address, port, max_body_mb << 20)
