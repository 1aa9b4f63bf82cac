"""`retouch serve`: the server, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.markup import escape

from retouch.backends.offload import TEXT
from retouch.launcher.server import HOST, REPOSITORY, Server, ServerError
from retouch.util import env, extras
from retouch_clients.addresses.local_servers import announced
from retouch_clients.addresses.server_options import DEFAULT_PORTS, PORT
from retouch_clients.cli.console import console

GRACE = 30.0  # seconds for running edits after SIGTERM
POLL_SECONDS = 0.1


class Backoff:
    """Pauses between restarts of a server that stops: 1, 2, 4 … at most `longest` seconds.

    There are at most `attempts` in a row. A server that ran for `healthy` seconds resets the
    count."""

    def __init__(self, attempts: int = 8, longest: float = 60.0, healthy: float = 60.0):
        self._attempts = attempts
        self._longest = longest
        self._healthy = healthy
        self._failures = 0

    def pause_after(self, ran: float) -> float | None:
        """Seconds to wait after a server ran for `ran` seconds; None: do not restart it."""
        self._failures = 1 if ran >= self._healthy else self._failures + 1
        if self._failures > self._attempts:
            return None
        return min(2.0 ** (self._failures - 1), self._longest)


@click.command(short_help="Run the server.")
@click.option(
    "--http-port",
    type=PORT,
    default=DEFAULT_PORTS["http"],
    show_default=True,
    help="0: any free port.",
)
@click.option(
    "--grpc-port",
    type=PORT,
    default=DEFAULT_PORTS["grpc"],
    show_default=True,
    help="0: any free port.",
)
@click.option(
    "--metrics-port", type=PORT, default=8002, show_default=True, help="0: any free port."
)
@click.option(
    "--repository",
    type=click.Path(file_okay=False, path_type=Path),
    default=REPOSITORY,
    help="The model repository that `retouch export` fills.  "
    "[default: $RETOUCH_REPOSITORY or model_repository]",
)
@click.option(
    "--profile",
    default="",
    help="Hardware profile: cpu, torch, gpu, hopper or blackwell.  [default: cpu]",
)
@click.option(
    "--host",
    default=HOST,
    show_default=True,
    help="The address to listen on. Addresses beyond loopback require --behind-proxy.",
)
@click.option(
    "--behind-proxy",
    is_flag=True,
    help="Confirm that a proxy in front of the server authenticates clients and limits bodies.",
)
@click.option(
    "--grace",
    type=click.FloatRange(0, 3600),
    default=GRACE,
    show_default=True,
    help="Seconds that running edits may take after SIGTERM.",
)
@click.option(
    "--offload",
    type=click.Choice([TEXT]),
    help="Keep the text encoders in host memory, and bring them to the GPU for a read.",
)
@click.option(
    "--adapters",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of adapters that edits may name.  "
    "[default: $RETOUCH_ADAPTERS or adapters beside the model repository]",
)
@click.option("--restart", is_flag=True, help="Restart the server if it stops.")
def serve(
    http_port: int,
    grpc_port: int,
    metrics_port: int,
    repository: Path,
    profile: str,
    host: str,
    behind_proxy: bool,
    grace: float,
    offload: str | None,
    adapters: Path | None,
    restart: bool,
) -> None:
    """Run the server until Ctrl-C or SIGTERM.

    Ctrl-C stops it at once. After SIGTERM, running edits may finish."""
    extras.check("serve")
    signal.signal(signal.SIGTERM, _terminated)
    options = {
        "http": http_port,
        "grpc": grpc_port,
        "metrics": metrics_port,
        "profile": profile,
        "host": host,
        "behind_proxy": behind_proxy,
    }
    with (
        env.OFFLOAD.set_to(offload or env.OFFLOAD.get()),
        env.ADAPTERS.set_to(str(adapters or env.ADAPTERS.get())),
    ):
        _serve(repository, options, grace, restart)


def _serve(repository: Path, options: dict[str, Any], grace: float, restart: bool) -> NoReturn:
    """Run servers with these `options` until one stops and is not to be started again."""
    backoff = Backoff()
    first = True
    while True:
        server = Server(repository, **options)
        # keep the same ports after a restart
        options |= {"http": server.http, "grpc": server.grpc, "metrics": server.metrics}
        began = time.monotonic()
        failure = ServerError(f"the server has stopped unexpectedly; its log is {server.log}")
        try:
            _run(server, grace)
        except ServerError as error:
            if first:
                raise
            failure = error
        pause = backoff.pause_after(time.monotonic() - began) if restart else None
        if pause is None:
            raise failure
        console.print(f"{escape(str(failure))}. Restarting in {pause:g} s", soft_wrap=True)
        time.sleep(pause)
        first = False


def _run(server: Server, grace: float) -> None:
    """Run the server until it stops; SystemExit after SIGTERM, once its edits have finished."""
    console.print(f"log: {server.log}", soft_wrap=True)
    with server, announced({"http": server.http, "grpc": server.grpc}):
        host = server.local_host
        ready = f"ready: http {host}:{server.http}, gRPC {host}:{server.grpc}  (Ctrl-C stops)"
        console.print(ready, soft_wrap=True)
        try:
            while server.process and server.process.poll() is None:
                time.sleep(POLL_SECONDS)
        except SystemExit:
            console.print(f"stopping: running edits have {grace:g} s to finish")
            if not server.drain(grace):
                console.print("some edits did not finish in time")
            raise


def _terminated(*_: object) -> NoReturn:
    """Exit on SIGTERM. A second SIGTERM ends the wait for running edits."""
    raise SystemExit(0)
