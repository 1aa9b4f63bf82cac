"""`retouch serve`: the server, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import NoReturn

import click
from rich.markup import escape

from retouch.launcher.server import HOST, REPOSITORY, Server, ServerError
from retouch.util import extras
from retouch_clients.addresses.local_servers import announced
from retouch_clients.addresses.server_options import PORT, USUAL
from retouch_clients.cli.console import console

GRACE = 30.0  # seconds for running edits after SIGTERM
LOOK_EVERY = 0.1  # seconds


class Backoff:
    """Pauses between starts of a server that ends by itself: 1, 2, 4 … at most `longest` seconds,
    and at most `attempts` in turn. A server that ran for `healthy` seconds begins anew."""

    def __init__(self, attempts: int = 8, longest: float = 60.0, healthy: float = 60.0):
        self._attempts = attempts
        self._longest = longest
        self._healthy = healthy
        self._failures = 0

    def pause_after(self, ran: float) -> float | None:
        """Seconds to wait after a server that `ran` so many seconds; None: it is not started
        again."""
        self._failures = 1 if ran >= self._healthy else self._failures + 1
        if self._failures > self._attempts:
            return None
        return min(2.0 ** (self._failures - 1), self._longest)


@click.command()
@click.option("--http-port", type=PORT, default=USUAL["http"], show_default=True)
@click.option("--grpc-port", type=PORT, default=USUAL["grpc"], show_default=True)
@click.option("--metrics-port", type=PORT, default=8002, show_default=True)
@click.option(
    "--repository",
    type=click.Path(file_okay=False, path_type=Path),
    default=REPOSITORY,
    help="The model repository, as `retouch export` fills it.  [default: $RETOUCH_REPOSITORY or model_repository]",
)
@click.option(
    "--profile", default="", help="cpu, hopper or blackwell: the machine it is for.  [default: cpu]"
)
@click.option(
    "--host",
    default=HOST,
    show_default=True,
    help="The address to listen at; beyond this machine only with --behind-proxy.",
)
@click.option(
    "--behind-proxy",
    is_flag=True,
    help="A proxy stands before the server: it checks who may come, and bounds bodies.",
)
@click.option(
    "--grace",
    type=click.FloatRange(0, 3600),
    default=GRACE,
    show_default=True,
    help="Seconds for running edits to end after SIGTERM.",
)
@click.option("--restart", is_flag=True, help="Start the server again when it ends by itself.")
def serve(
    http_port: int,
    grpc_port: int,
    metrics_port: int,
    repository: Path,
    profile: str,
    host: str,
    behind_proxy: bool,
    grace: float,
    restart: bool,
) -> None:
    """Run the server until Ctrl-C, which stops it at once, or SIGTERM, which lets running edits
    end."""
    extras.check("serve")
    signal.signal(signal.SIGTERM, _terminated)
    backoff = Backoff()
    first = True
    while True:
        server = Server(
            repository,
            http=http_port,
            grpc=grpc_port,
            metrics=metrics_port,
            profile=profile,
            host=host,
            behind_proxy=behind_proxy,
        )
        # the same after a restart
        http_port = server.http
        grpc_port = server.grpc
        metrics_port = server.metrics
        began = time.monotonic()
        failure = ServerError(f"the server has stopped by itself; its log is {server.log}")
        try:
            _run(server, grace)
        except ServerError as refused:
            if first:
                raise
            failure = refused
        pause = backoff.pause_after(time.monotonic() - began) if restart else None
        if pause is None:
            raise failure
        console.print(f"{escape(str(failure))}. Starting again in {pause:g} s", soft_wrap=True)
        time.sleep(pause)
        first = False


def _run(server: Server, grace: float) -> None:
    """Until the server ends by itself; SystemExit after SIGTERM, when its edits have ended."""
    console.print(f"log: {server.log}", soft_wrap=True)
    with server, announced({"http": server.http, "grpc": server.grpc}):
        console.print(
            f"ready: http {server.near}:{server.http}, gRPC {server.near}:{server.grpc}  (Ctrl-C stops)",
            soft_wrap=True,
        )
        try:
            while server.process and server.process.poll() is None:
                time.sleep(LOOK_EVERY)
        except SystemExit:
            console.print(f"stopping: running edits have {grace:g} s to end")
            if not server.drain(grace):
                console.print("some edits have not ended in time")
            raise


def _terminated(*_: object) -> NoReturn:
    """A second SIGTERM ends the wait for running edits."""
    raise SystemExit(0)
