"""The secret of a server's start, without which nobody can use the endpoints that change the
server.

It lies in a file that only its owner can read, named by the server's gRPC port. Health, inference,
metadata, configurations and statistics are open to all."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import secrets
from pathlib import Path

from retouch.launcher.paths import RUNTIME, private_folder

FOLDER = RUNTIME / "secrets"
# tritonserver's names of endpoints
RESTRICTED = ("model-repository", "shared-memory", "logging", "trace")
KEY = "retouch-secret"  # the HTTP header
GRPC_KEY = f"triton-grpc-protocol-{KEY}"  # tritonserver expects this prefix


def new_secret() -> str:
    return secrets.token_urlsafe(32)


def options(secret: str) -> list[str]:
    """Arguments of tritonserver that restrict endpoints to requests with the secret."""
    rule = f"{','.join(RESTRICTED)}:{KEY}={secret}"
    return [f"--http-restricted-api={rule}", f"--grpc-restricted-protocol={rule}"]


def http_headers(secret: str) -> dict[str, str]:
    return {KEY: secret} if secret else {}


def grpc_headers(secret: str) -> dict[str, str]:
    return {GRPC_KEY: secret} if secret else {}


def file_of(port: int) -> Path:
    """The file with the secret of the server with this gRPC port."""
    return FOLDER / str(port)


def keep(port: int, secret: str) -> Path:
    """Write the secret for this user's commands, readable to its owner only; returns the file."""
    private_folder(FOLDER)
    path = file_of(port)
    path.unlink(missing_ok=True)  # an old file may have another mode
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secret)
    return path


def secret_of(url: str) -> str:
    """The secret of the server at `url` (host:port of gRPC); empty when it runs elsewhere or its
    file cannot be read."""
    host, _, port = url.rpartition(":")
    with contextlib.suppress(OSError, ValueError):
        if is_loopback(host):
            return file_of(int(port)).read_text()
    return ""


def is_loopback(host: str) -> bool:
    """Whether an address or name is loopback, by its form alone: no name is resolved."""
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
