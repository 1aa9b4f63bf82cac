"""The options `--url` and `--http`, and the server that a command talks to."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import click
from rich.console import Console

from retouch.api.errors import RequestError
from retouch.launcher.log_files import new_log
from retouch.launcher.server import HOST, Server
from retouch.util import env
from retouch_clients.addresses.local_servers import Ports, running
from retouch_clients.addresses.server_url import parse_url, protocol_hint
from retouch_clients.cli.console import console

DEFAULT_PORTS: Ports = {"http": 8000, "grpc": 8001}
PORT = click.IntRange(0, 65535)  # 0: any free port


def address_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options `--url` and `--http` to a command that talks to a server.

    The command receives `url` as host:port. If the server is unavailable and the port speaks the
    other protocol, the RequestError says so."""

    @functools.wraps(command)
    def resolved(*arguments: Any, url: str | None, http: bool, **options: Any) -> Any:
        url, http = parse_url(url, http)
        try:
            return command(*arguments, url=url, http=http, **options)
        except RequestError as failure:
            if failure.code != "UNAVAILABLE":
                raise
            hint = protocol_hint(running_url(url, http), http)
            if not hint:
                raise
            raise RequestError(hint, "UNAVAILABLE") from None

    http = click.option("--http", is_flag=True, help="Use HTTP instead of gRPC.")
    url = click.option(
        "--url",
        envvar=env.URL.name,
        help="Server address: host:port, http://host:port or grpc://host:port.  "
        "[default: the running `retouch serve`]",
    )
    return url(http(resolved))


def running_url(url: str | None, http: bool) -> str:
    """`url`, or the address of the running `retouch serve`, or the default address."""
    return url or _url(running() or DEFAULT_PORTS, http)


@contextlib.contextmanager
def server_url(url: str | None, http: bool, start: bool, to: Console = console) -> Iterator[str]:
    """The host:port to talk to.

    With `start`, and without `url` or a running server, a server runs until the block ends.
    click.UsageError if the URL names a protocol that the command does not speak.
    """
    address, speaks_http = parse_url(url, http)
    if address and speaks_http != http:
        raise click.UsageError(f"--url {url}: this command uses gRPC; pass the server's gRPC port")
    ports = None if address else running()
    if address or ports or not start:
        yield address or _url(ports or DEFAULT_PORTS, http)
    else:
        to.print("starting a server")
        with Server(log=new_log("edit")) as server:
            yield _url({"http": server.http, "grpc": server.grpc}, http)


def _url(ports: Ports, http: bool) -> str:
    return f"{HOST}:{ports['http' if http else 'grpc']}"
