"""`retouch serve`: the server, until Ctrl-C."""

from __future__ import annotations

import time

import click

from clients.address import PORT, USUAL
from clients.running import announced
from clients.show import console
from retouch.server import HOST, Server, ServerError


@click.command()
@click.option("--http-port", type=PORT, default=USUAL["http"], show_default=True)
@click.option("--grpc-port", type=PORT, default=USUAL["grpc"], show_default=True)
@click.option("--metrics-port", type=PORT, default=8002, show_default=True)
@click.option("--profile", default="", help="cpu, hopper or blackwell: the machine it is for.  [default: cpu]")
def serve(http_port: int, grpc_port: int, metrics_port: int, profile: str) -> None:
    """Run the server on 127.0.0.1 until Ctrl-C."""
    with Server(http=http_port, grpc=grpc_port, metrics=metrics_port, profile=profile) as server:
        with announced({"http": server.http, "grpc": server.grpc}):
            console.print(f"ready: http {HOST}:{server.http}, gRPC {HOST}:{server.grpc}  (Ctrl-C stops)")
            while server.process and server.process.poll() is None:
                time.sleep(0.5)
    raise ServerError(f"the server has stopped by itself; its log is {server.log}")
