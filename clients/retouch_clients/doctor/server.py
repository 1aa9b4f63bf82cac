"""Checks of the exported artifacts, the running server and its ports."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

from retouch.artifacts.manifest import ArtifactError, read
from retouch.client import Retouch
from retouch.launcher.paths import IS_CHECKOUT
from retouch.launcher.server import HOST, REPOSITORY, models
from retouch_clients.addresses.server_url import protocol_hint
from retouch_clients.doctor.check import Check

PORTS = {"HTTP": 8000, "gRPC": 8001, "metrics": 8002}
EXPORT = "run `make export`" if IS_CHECKOUT else "run `retouch export`"
OWN_MODELS = ("edit", "preprocess", "postprocess", "denoiser_")  # need no artifact, or are lanes


def artifacts(repository: Path) -> Iterator[Check]:
    """The exported models, by their manifests. Runners verify the files' hashes."""
    stages = sorted(
        path.parent.name
        for path in repository.glob("*/config.pbtxt")
        if not path.parent.name.startswith(OWN_MODELS)
    )
    for model in (*stages, "denoiser_bf16"):
        yield _artifact(repository / model / "1", f"{model} is exported", EXPORT)
    for lane in ("fp8", "fp4"):
        yield _artifact(
            repository / f"denoiser_{lane}" / "1",
            f"lane {lane} is exported",
            f"{EXPORT}; without it the server has fewer lanes",
            optional=True,
        )


def server(url: str, http: bool) -> Iterator[Check]:
    """The running server; without one, whether the default ports are free."""
    client = Retouch(url, http)
    if client.ready():
        loaded = set(client.lanes())
        exported = _exported_lanes()
        yield Check(True, f"a server is ready at {url}")
        yield Check(
            exported <= loaded,
            f"it has the lanes {', '.join(client.lanes())}",
            f"{', '.join(sorted(exported - loaded))} is exported but not loaded; "
            "restart the server",
            optional=True,
        )
        return
    yield Check(
        False,
        f"no server is ready at {url}",
        protocol_hint(client.url, http) or "start one with `retouch serve`",
        optional=True,
    )
    for protocol, port in PORTS.items():
        yield Check(
            _is_free(port),
            f"port {port} of {HOST} is free for {protocol}",
            "another program uses it; "
            f"`retouch serve --{protocol.lower()}-port 0` takes a free one",
            optional=True,
        )


def _artifact(folder: Path, what: str, advice: str, optional: bool = False) -> Check:
    try:
        manifest = read(folder)
    except ArtifactError as failure:
        return Check(False, what, f"{advice} ({failure})", optional)
    missing = [name for name in manifest.files if not (folder / name).is_file()]
    return Check(not missing, what, f"{advice} ({', '.join(missing)} is missing)", optional)


def _exported_lanes() -> set[str]:
    prefix = "denoiser_"
    return {name.removeprefix(prefix) for name in models(REPOSITORY) if name.startswith(prefix)}


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
