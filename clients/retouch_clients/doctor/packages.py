"""Checks of Python and the installed packages."""

from __future__ import annotations

import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from retouch.util.extras import install_command, missing
from retouch_clients.doctor.check import Check, installed_version, is_loadable

MOST_NAMED = 5  # packages that the advice names


def python() -> Iterator[Check]:
    release = ".".join(map(str, sys.version_info[:3]))
    supported = (3, 10) <= sys.version_info < (3, 13)
    yield Check(supported, f"Python {release}", "use 3.10, 3.11 or 3.12")
    folder = sysconfig.get_config_var("LIBDIR") or ""
    library = Path(folder, sysconfig.get_config_var("INSTSONAME") or "libpython")
    yield Check(
        is_loadable(library),
        f"Python's shared library {library.name}",
        "install it (libpython3, python3-dev): the server's stubs load it",
    )


def packages(pins: Path) -> Iterator[Check]:
    """Whether the packages of a requirements file have the versions that it pins."""
    pinned = dict(pins_of(pins))
    installed = {name: installed_version(name) for name in pinned}
    deviations = [
        f"{name} {installed[name] or 'is missing'}, pinned {pin}"
        for name, pin in pinned.items()
        if not is_same_release(installed[name], pin)
    ]
    named = "; ".join(deviations[:MOST_NAMED]) + "; …" * (len(deviations) > MOST_NAMED)
    matching = len(pinned) - len(deviations)
    yield Check(
        not deviations,
        f"{matching} of {len(pinned)} packages match the pins in {pins.name}",
        f"run `make setup` ({named})",
    )


def pins_of(path: Path) -> Iterator[tuple[str, str]]:
    """(name, version) of each package that a requirements file pins for this Python and machine."""
    for line in path.read_text().splitlines():
        pin = re.match(r"([\w.-]+)==([^\s;]+)\s*(?:;(.*))?", line)
        if pin and (not pin[3] or _applies(pin[3])):
            yield pin[1], pin[2]


def _applies(marker: str) -> bool:
    try:
        from packaging.markers import Marker
    except ModuleNotFoundError:
        return True
    return Marker(marker.strip()).evaluate()


def installed_extras() -> Iterator[Check]:
    """The extras of an installed wheel."""
    for extra in ("serve", "export", "openai", "web"):
        modules = missing(extra)
        yield Check(
            not modules,
            f"extra {extra} lacks {', '.join(modules)}" if modules else f"extra {extra}",
            f"run {install_command(extra)}",
            optional=True,
        )


def numpy_version() -> Iterator[Check]:
    numpy = installed_version("numpy")
    yield Check(
        bool(numpy) and int(numpy.split(".")[0]) < 2,
        f"numpy {numpy or 'is missing'}, below 2",
        "the server's stubs need numpy < 2; run `make setup`",
    )


def is_same_release(installed: str | None, pin: str) -> bool:
    """Whether the releases are equal. A local build counts: 2.13.0+cpu is 2.13.0."""
    return installed is not None and installed.partition("+")[0] == pin.partition("+")[0]
