"""Where a command finds its server."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import click
from rich.console import Console

from clients.show import console
from retouch.server import HOST, RUNTIME, Server

RUNNING = RUNTIME / "running.json"  # the ports of `retouch serve`, while it runs
USUAL = {"http": 8000, "grpc": 8001}


def address(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options `--url` and `--http` of a command that talks to a server."""
    http = click.option("--http", is_flag=True, help="Use HTTP instead of gRPC.")
    url = click.option("--url", envvar="RETOUCH_URL",
                       help="host:port of a server.  [default: the one of `retouch serve`]")
    return url(http(command))


def running_url(url: str | None, http: bool) -> str:
    """The address given, or that of the running `retouch serve`, or the usual one."""
    ports = json.loads(RUNNING.read_text()) if RUNNING.is_file() else USUAL
    return url or f"{HOST}:{ports['http' if http else 'grpc']}"


@contextlib.contextmanager
def server_url(url: str | None, http: bool, start: bool, words: Console = console) -> Iterator[str]:
    """The address to talk to; where none is given and none runs, that of a server started for the moment, if it may."""
    if url or RUNNING.is_file() or not start:
        yield running_url(url, http)
    else:
        words.print("starting a server")
        with Server(log=RUNTIME / "edit.log") as server:
            yield f"{HOST}:{server.http if http else server.grpc}"
