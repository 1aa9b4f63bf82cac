"""A folder of links for one start: the models to load, the Python backend with its stub, and the
local cache.

Tritonserver starts stubs through a shell and does not quote paths, so the folder's path is plain.
All models in it are loaded, so the server needs no model control at run time."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import tempfile
from pathlib import Path

from retouch.launcher.paths import IS_CHECKOUT
from retouch.launcher.start_failure import ServerError
from retouch.util.extras import install_command

PLAIN = re.compile(r"[A-Za-z0-9_./+@%,:=-]+")  # a path that needs no quotes in a shell
FALLBACKS = ("/tmp", "/var/tmp", "/dev/shm")  # when the temporary folder's path is not plain


def wheel() -> Path:
    """The server's folder in the wheel; ServerError when the wheel is not installed or lacks this
    Python's stub."""
    spec = importlib.util.find_spec("pytriton")
    if spec is None or spec.origin is None:
        raise ServerError(
            "nvidia-pytriton is not installed; run "
            + ("`make setup`" if IS_CHECKOUT else install_command("serve"))
        )
    folder = Path(spec.origin).parent / "tritonserver"
    if not _stub(folder).is_file():
        version = _python()
        raise ServerError(
            f"nvidia-pytriton has no stub for Python {version}; use Python 3.10, 3.11 or 3.12"
        )
    return folder


def stage(repository: Path, names: list[str]) -> Path:
    """A new folder with `models`, `backends` and `caches`; the caller removes it. ServerError."""
    source = wheel()
    links = {
        f"backends/python/{path.name}": path for path in (source / "backends" / "python").iterdir()
    }
    links["backends/python/triton_python_backend_stub"] = _stub(source)
    links["caches/local"] = source / "caches" / "local"
    links |= {f"models/{name}": (repository / name).absolute() for name in names}
    folder = Path(tempfile.mkdtemp(prefix=f"retouch_{os.getpid()}_", dir=_parent()))
    for name, target in links.items():
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    return folder


def _parent() -> str:
    """The temporary folder, or another writable folder with a plain path."""
    for place in (tempfile.gettempdir(), *FALLBACKS):
        if PLAIN.fullmatch(place) and os.access(place, os.W_OK | os.X_OK):
            return place
    raise ServerError(
        "the server needs a temporary folder whose path has only letters, digits and . _ -; "
        "set TMPDIR to a writable one"
    )


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _stub(folder: Path) -> Path:
    return folder / "python_backend_stubs" / _python() / "triton_python_backend_stub"
