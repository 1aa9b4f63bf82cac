"""Where a command finds its server."""

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

USUAL: Ports = {"http": 8000, "grpc": 8001}
PORT = click.IntRange(0, 65535)  # 0: a free one


def address(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options `--url` and `--http` of a command that talks to a server.

    The command gets host:port as `url`, whatever was typed. RequestErrors say so where the other
    protocol answers there."""

    @functools.wraps(command)
    def resolved(*arguments: Any, url: str | None, http: bool, **options: Any) -> Any:
        url, http = parse_url(url, http)
        try:
            return command(*arguments, url=url, http=http, **options)
        except RequestError as failure:
            hint = (
                protocol_hint(running_url(url, http), http) if failure.code == "UNAVAILABLE" else ""
            )
            if not hint:
                raise
            raise RequestError(hint, "UNAVAILABLE") from None

    http = click.option("--http", is_flag=True, help="Use HTTP instead of gRPC.")
    url = click.option(
        "--url",
        envvar=env.URL.name,
        help="host:port of a server, or http://host:port or grpc://host:port.  [default: the one of `retouch serve`]",
    )
    return url(http(resolved))


def running_url(url: str | None, http: bool) -> str:
    """The address given, or that of the running `retouch serve`, or the usual one."""
    return url or _url(running() or USUAL, http)


@contextlib.contextmanager
def server_url(url: str | None, http: bool, start: bool, words: Console = console) -> Iterator[str]:
    """The address to talk to; where none is given and none runs, that of a server started for the
    moment, if it may.

    click.UsageError where the address names another protocol than the command speaks.
    """
    place, speaks_http = parse_url(url, http)
    if place and speaks_http != http:
        raise click.UsageError(
            f"--url {url}: this command speaks gRPC with the server; give its gRPC port"
        )
    url = place
    ports = None if url else running()
    if url or ports or not start:
        yield url or _url(ports or USUAL, http)
    else:
        words.print("starting a server")
        with Server(log=new_log("edit")) as server:
            yield _url({"http": server.http, "grpc": server.grpc}, http)


def _url(ports: Ports, http: bool) -> str:
    return f"{HOST}:{ports['http' if http else 'grpc']}"
