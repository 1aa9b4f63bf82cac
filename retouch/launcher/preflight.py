"""Checks before a server is started, so that a start that cannot succeed fails at once and says
why."""

from __future__ import annotations

import contextlib
import resource
import socket
from pathlib import Path

from retouch.launcher.placements import Placement
from retouch.launcher.secret import is_loopback
from retouch.launcher.start_failure import ServerError

LEAST_FILES = 512  # open files: of a tritonserver with all lanes, and of its clients
USUAL_FILES = 4096
RELEASE = "2.51 (24.10)"
FIXED_IN = "26.08"
GPU_DEVICES = "/dev/nvidia[0-9]*"
WILDCARDS = ("0.0.0.0", "::", "")


def check_host(host: str, behind_proxy: bool) -> None:
    """ServerError unless the server listens on loopback or stands behind a proxy."""
    if not is_loopback(host) and not behind_proxy:
        raise ServerError(
            f"tritonserver {RELEASE} has known security holes, which release {FIXED_IN} fixes; "
            "listen beyond this machine only behind a proxy, with --behind-proxy (see SECURITY.md)"
        )


def check_ports(host: str, ports: dict[str, int]) -> None:
    """Check `ports` by protocol; ServerError names the first one that is not available."""
    for protocol, port in ports.items():
        twin = next(
            (name for name, other in ports.items() if other == port and name != protocol), None
        )
        if twin:
            raise ServerError(
                f"{protocol} and {twin} have the same port {port}; "
                f"choose another with --{protocol}-port"
            )
        try:
            with contextlib.closing(_listening(host, port)):
                pass
        except socket.gaierror:
            raise ServerError(f"{host!r} is no address of this machine") from None
        except PermissionError:
            raise ServerError(
                f"port {port} ({protocol}) of {host} may not be used by this user; "
                f"choose one from 1024 with --{protocol}-port"
            ) from None
        except OSError as failure:
            if failure.errno in _FOREIGN:
                raise ServerError(f"{host!r} is no address of this machine") from None
            raise ServerError(
                f"port {port} ({protocol}) of {host} is in use, perhaps by another server; "
                f"choose another with --{protocol}-port, or 0 for a free one"
            ) from None


def raise_open_files() -> None:
    """Raise the limit of open files for this process and its children; ServerError when it stays
    too low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    infinite = resource.RLIM_INFINITY
    if soft == infinite or soft >= USUAL_FILES:
        return
    allowed = USUAL_FILES if hard == infinite else min(hard, USUAL_FILES)
    if allowed < LEAST_FILES:
        raise ServerError(
            f"this shell allows {allowed} open files, and the server needs {LEAST_FILES}; "
            "allow more with `ulimit -n 1024`"
        )
    if allowed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def check_gpu(parts: list[Placement], profile: str, devices: str = GPU_DEVICES) -> None:
    """ServerError when a model runs on a GPU by this profile, and the machine has no GPU."""
    if any(Path("/").glob(devices.lstrip("/"))) or Path("/dev/dxg").exists():  # WSL has the latter
        return
    for part in parts:
        if part.is_on_gpu:
            where = f"profile {profile}" if profile else f"model {part.model}"
            raise ServerError(
                f"{where} needs an NVIDIA GPU, and this machine has none; use --profile cpu"
            )


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


_FOREIGN = (99, -2, -3, -5)  # EADDRNOTAVAIL, and getaddrinfo's errors for unknown names
