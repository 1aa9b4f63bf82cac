"""A folder of links for one start: the models to load, the Python backend with its stub, and the
local cache.

Tritonserver starts stubs through a shell and does not quote paths, so the folder's path is plain.
All models in it are loaded, so the server needs no model control at run time."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from retouch.launcher.start_failure import ServerError
from retouch.launcher.tritonserver import STUB, installed

PLAIN = re.compile(r"[A-Za-z0-9_./+@%,:=-]+")  # a path that needs no quotes in a shell
FALLBACKS = ("/tmp", "/var/tmp", "/dev/shm")  # when the temporary folder's path is not plain


def stage(repository: Path, names: list[str]) -> Path:
    """A new folder with `models`, `backends` and `caches`; the caller removes it. ServerError."""
    source = installed()
    links = {f"backends/python/{path.name}": path for path in source.python_backend.iterdir()}
    links[f"backends/python/{STUB}"] = source.stub
    links["caches/local"] = source.local_cache
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
