"""One check and its result, and probes that several checks use."""

from __future__ import annotations

import ctypes
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PROGRAM_SECONDS = 10.0


@dataclass(frozen=True)
class Check:
    """The result of one check.

    The server and the client work without what is `optional`."""

    good: bool
    what: str
    advice: str = ""
    optional: bool = False


def installed_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def is_loadable(library: Path) -> bool:
    """Whether the dynamic linker loads the library, by its path or its name."""
    for name in (str(library), library.name):
        try:
            return bool(ctypes.CDLL(name))
        except OSError:
            continue
    return False


def program_output(*command: str) -> str:
    """A program's standard output; "" if it is missing, fails or does not end in time."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=PROGRAM_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else done.stdout
