"""gRPC connections to a server: what both kinds of client have in common."""

from __future__ import annotations

import tritonclient.grpc as grpc
import tritonclient.grpc.aio as grpc_aio

from retouch.client.failures import host_port
from retouch.secret import is_loopback

LARGEST = 2**31 - 1  # bytes of a message, as tritonclient's own default
RECONNECT_MS = {"initial": 100, "min": 100, "max": 500}  # a server that is back is found within a second


def options(url: str) -> list[tuple[str, int]]:
    """Of the channel to `url` (host:port). Loopback is never reached by the proxy of the environment."""
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


def blocking_client(url: str) -> grpc.InferenceServerClient:
    return grpc.InferenceServerClient(url, channel_args=options(url))


def aio_client(url: str) -> grpc_aio.InferenceServerClient:
    """Belongs to the loop that runs."""
    return grpc_aio.InferenceServerClient(url, channel_args=options(url))
