"""Addresses as people type them, and which protocol answers at one."""

from __future__ import annotations

import contextlib
import http.client
import socket

import click

PORTS = {"http": 8000, "grpc": 8001}  # where an address with a scheme names none
PROBE_SECONDS = 2.0
HTTP2_PREFACE = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
)  # with empty settings
SETTINGS = 4  # the type of the frame that an HTTP/2 server begins with


def parse_url(url: str | None, use_http: bool) -> tuple[str | None, bool]:
    """host:port, and whether HTTP is spoken there; a scheme chooses the protocol.
    click.UsageError."""
    scheme, separator, rest = (url or "").partition("://")
    if not separator:
        return url, use_http
    scheme = scheme.lower()
    if scheme in ("https", "grpcs"):
        plain = scheme.removesuffix("s")
        raise click.UsageError(
            f"--url {url}: {scheme} is not supported; the server speaks {plain}, as {plain}://host:port"
        )
    if scheme not in PORTS:
        raise click.UsageError(
            f"--url {url}: {scheme} is unknown; it must be http://host:port, grpc://host:port or host:port"
        )
    if use_http and scheme == "grpc":
        raise click.UsageError(f"--http and --url {url} disagree; leave one out")
    place = rest.removesuffix("/")
    if place and "/" not in place and ":" not in place.rpartition("]")[2]:
        place = f"{place}:{PORTS[scheme]}"
    return place, scheme == "http"


def protocol_hint(url: str, use_http: bool) -> str:
    """What to do where the other protocol answers at host:port; empty where it does not."""
    host, _, port = url.rpartition(":")
    address = (host.strip("[]"), int(port))
    if use_http and _speaks_grpc(address):
        return f"{url} is a gRPC port; leave out --http (or write grpc://), or use the server's HTTP port"
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
