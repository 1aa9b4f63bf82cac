"""Packages that only some benchmarks need."""

from __future__ import annotations

import sys
from importlib.util import find_spec


def need(package: str) -> None:
    """Exit before measuring if the package is not installed."""
    if find_spec(package) is None:
        sys.exit(f"error: this needs the package {package}; `make opponents` installs it")
