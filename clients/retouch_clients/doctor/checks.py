"""All checks of `retouch doctor`, in the order in which they are printed."""

from __future__ import annotations

from collections.abc import Iterator

from retouch.launcher.paths import IS_CHECKOUT
from retouch.launcher.server import REPOSITORY, ROOT
from retouch_clients.doctor.check import Check
from retouch_clients.doctor.gpu import gpu
from retouch_clients.doctor.machine import machine, optional_programs
from retouch_clients.doctor.packages import installed_extras, numpy_version, packages, python
from retouch_clients.doctor.server import artifacts, server


def checks(url: str, http: bool = False) -> Iterator[Check]:
    """Run every check. `url` is the address where a server may run."""
    yield from python()
    if IS_CHECKOUT:
        yield from packages(ROOT / "requirements.txt")
    else:
        yield from installed_extras()
    yield from numpy_version()
    yield from machine()
    yield from artifacts(REPOSITORY)
    yield from server(url, http)
    yield from gpu()
    yield from optional_programs()
