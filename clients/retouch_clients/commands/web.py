"""`retouch web`: the page, until Ctrl-C."""

from __future__ import annotations

import threading
from pathlib import Path

import click

from retouch.launcher.server import HOST
from retouch.util import env, extras
from retouch_clients.addresses.server_options import PORT, server_url
from retouch_clients.cli.console import console


@click.command(short_help="Serve the web page.")
@click.option(
    "--port", type=PORT, help="Of the page.  [default: 7860, or the next one that is free]"
)
@click.option(
    "--host",
    default=HOST,
    show_default=True,
    metavar="ADDR",
    help="The address to listen at; beyond loopback there must be a password.",
)
@click.option(
    "--allowed-host",
    multiple=True,
    metavar="NAME",
    help="A name in requests' Host header beside loopback's and the address itself; * for any. Repeatable.",
)
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A file whose first line is the password of the page.  [default: RETOUCH_WEB_PASSWORD, or none]",
)
@click.option(
    "--url",
    envvar=env.URL.name,
    help="host:port (gRPC) of a server; without it, the one of `retouch "
    "serve`, or one that is started for the page.",
)
def web(
    port: int | None,
    host: str,
    allowed_host: tuple[str, ...],
    password_file: Path | None,
    url: str | None,
) -> None:
    """Serve the web page until Ctrl-C. RETOUCH_WEB_PASSWORD or --password-file asks visitors for a
    password."""
    extras.check("web")
    from retouch_clients.web.password import password_from
    from retouch_clients.web.serving import Options, check_access, served

    options = Options(port, host, allowed_host, password_from(password_file))
    check_access(options)  # before a server is started
    with server_url(url, http=False, start=True) as address, served(address, options) as page:
        console.print(f"the page is ready: {page}  (Ctrl-C stops)")
        if options.public:
            console.print(
                "open to others, who are asked for the password; it travels as it is, so put a proxy with TLS "
                "before the page"
            )
        threading.Event().wait()
