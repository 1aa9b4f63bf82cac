"""Server URLs as users type them, and which protocol a port speaks."""

from __future__ import annotations

import contextlib
import http.client
import socket

import click

PORTS = {"http": 8000, "grpc": 8001}  # used if a URL with a scheme names no port
PROBE_SECONDS = 2.0
EMPTY_SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + EMPTY_SETTINGS
SETTINGS = 4  # frame type; an HTTP/2 server sends this frame first


def parse_url(url: str | None, use_http: bool) -> tuple[str | None, bool]:
    """host:port, and whether to speak HTTP there. A scheme in the URL selects the protocol.

    click.UsageError for an unknown scheme, or one that contradicts `--http`."""
    scheme, separator, rest = (url or "").partition("://")
    if not separator:
        return url, use_http
    scheme = scheme.lower()
    if scheme in ("https", "grpcs"):
        plain = scheme.removesuffix("s")
        raise click.UsageError(f"--url {url}: {scheme} is not supported; use {plain}://host:port")
    if scheme not in PORTS:
        raise click.UsageError(
            f"--url {url}: unknown scheme {scheme}; "
            "use http://host:port, grpc://host:port or host:port"
        )
    if use_http and scheme == "grpc":
        raise click.UsageError(f"--http and --url {url} contradict each other; remove one of them")
    address = rest.removesuffix("/")
    if address and "/" not in address and ":" not in address.rpartition("]")[2]:
        address = f"{address}:{PORTS[scheme]}"
    return address, scheme == "http"


def protocol_hint(url: str, use_http: bool) -> str:
    """Advice if host:port speaks the other protocol; "" if it does not."""
    host, _, port = url.rpartition(":")
    address = (host.strip("[]"), int(port))
    if use_http and _speaks_grpc(address):
        return (
            f"{url} is a gRPC port; remove --http (or write grpc://), or use the server's HTTP port"
        )
    if not use_http and _speaks_http(address):
        return f"{url} is an HTTP port; add --http, or use the server's gRPC port"
    return ""


def _speaks_http(address: tuple[str, int]) -> bool:
    connection = http.client.HTTPConnection(*address, timeout=PROBE_SECONDS)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/v2/health/live")
            connection.getresponse()
        except (OSError, http.client.HTTPException):
            return False
    return True


def _speaks_grpc(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address, PROBE_SECONDS) as connection:
            connection.sendall(HTTP2_PREFACE)
            head = connection.recv(9, socket.MSG_WAITALL)
    except OSError:
        return False
    return len(head) == 9 and head[3] == SETTINGS
