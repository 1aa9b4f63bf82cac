"""`retouch web`: the page, until Ctrl-C."""

from __future__ import annotations

import threading

import click

from clients.address import PORT, server_url
from clients.show import console


@click.command(short_help="Serve the web page.")
@click.option("--port", type=PORT, help="Of the page.  [default: 7860, or the next one that is free]")
@click.option("--url", envvar="RETOUCH_URL", help="host:port (gRPC) of a server; without it, the one of `retouch "
              "serve`, or one that is started for the page.")
def web(port: int | None, url: str | None) -> None:
    """Serve the web page on 127.0.0.1 until Ctrl-C."""
    from clients.web.serving import served

    with server_url(url, http=False, start=True) as address, served(address, port) as page:
        console.print(f"the page is ready: {page}  (Ctrl-C stops)")
        threading.Event().wait()
