"""gRPC connections to a server, for both kinds of client."""

from __future__ import annotations

import os

import tritonclient.grpc as grpc
import tritonclient.grpc.aio as grpc_aio

from retouch.api.errors import RequestError
from retouch.client.errors import host_port
from retouch.launcher.secret import is_loopback

LARGEST = 2**31 - 1  # bytes of a message; also the default of tritonclient
# a client reaches a restarted server within a second
RECONNECT_MS = {"initial": 100, "min": 100, "max": 500}


def options(url: str) -> list[tuple[str, int]]:
    """Options of the channel to `url` (host:port). Connections to loopback ignore the proxy of the
    environment."""
    host = host_port(url).rpartition(":")[0]
    return [
        ("grpc.max_send_message_length", LARGEST),
        ("grpc.max_receive_message_length", LARGEST),
        ("grpc.keepalive_time_ms", LARGEST),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 0),
        ("grpc.http2.max_pings_without_data", 2),
        *((f"grpc.{name}_reconnect_backoff_ms", value) for name, value in RECONNECT_MS.items()),
        *([("grpc.enable_http_proxy", 0)] if is_loopback(host) else []),
    ]


class _FirstUse:
    """The process that opened the first connection; 0: none yet.

    A forked child inherits gRPC's locks without the threads that hold them, so it must not call
    gRPC at all."""

    process = 0


def is_forked() -> bool:
    """Whether a parent of this process used gRPC before the fork."""
    return _FirstUse.process not in (0, os.getpid())


def refuse_forked() -> None:
    """RequestError in a process that was forked after gRPC was used."""
    if is_forked():
        raise RequestError(
            "this process was forked after its parent had used gRPC, which hangs there; make the "
            "client with http=True, fork before the first edit, or start processes with 'spawn'"
        )
    _FirstUse.process = os.getpid()


def blocking_client(url: str) -> grpc.InferenceServerClient:
    refuse_forked()
    return grpc.InferenceServerClient(url, channel_args=options(url))


def aio_client(url: str) -> grpc_aio.InferenceServerClient:
    """A connection of the running event loop."""
    refuse_forked()
    return grpc_aio.InferenceServerClient(url, channel_args=options(url))
