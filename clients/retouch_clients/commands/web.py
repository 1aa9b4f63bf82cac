"""`retouch web`: serve the web page until Ctrl-C."""

from __future__ import annotations

import threading
from pathlib import Path

import click

from retouch.launcher.server import HOST
from retouch.util import env, extras
from retouch_clients.addresses.server_options import PORT, server_url
from retouch_clients.cli.console import console
from retouch_clients.feedback.settings import Settings, feedback_options


@click.command(short_help="Serve the web page.")
@click.option("--port", type=PORT, help="Port of the page.  [default: 7860, or the next free port]")
@click.option(
    "--host",
    default=HOST,
    show_default=True,
    metavar="ADDR",
    help="The address to listen on. Addresses beyond loopback require a password.",
)
@click.option(
    "--allowed-host",
    multiple=True,
    metavar="NAME",
    help="Accept this name in the Host header, besides loopback names and the address itself; "
    "* accepts any. Repeatable.",
)
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A file whose first line is the page's password.  "
    "[default: RETOUCH_WEB_PASSWORD, or none]",
)
@click.option(
    "--url",
    envvar=env.URL.name,
    help="host:port (gRPC) of a server.  "
    "[default: the running `retouch serve`, or a server started for the page]",
)
@feedback_options
def web(
    port: int | None,
    host: str,
    allowed_host: tuple[str, ...],
    password_file: Path | None,
    url: str | None,
    feedback: str | None,
    feedback_images: float,
) -> None:
    """Serve the web page until Ctrl-C.

    Starts a server if none is running. Set RETOUCH_WEB_PASSWORD or --password-file to require a
    password."""
    extras.check("web")
    from retouch_clients.web.password import password_from
    from retouch_clients.web.serving import Options, check_access, served

    options = Options(
        port,
        host,
        allowed_host,
        password_from(password_file),
        Settings.of(feedback, feedback_images),
    )
    check_access(options)  # before a server is started
    with server_url(url, http=False, start=True) as address, served(address, options) as page:
        console.print(f"the page is ready: {page}  (Ctrl-C stops)")
        if options.public:
            console.print(
                "other machines can reach the page with the password, which is sent unencrypted: "
                "put a proxy with TLS in front"
            )
        threading.Event().wait()
