"""The runtime folder: logs, secrets and what runs here. Nothing in it is needed again after the
last server has ended."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def runtime_folder(root: Path = ROOT, environment: Mapping[str, str] = os.environ) -> Path:
    """RETOUCH_RUNTIME, or .runtime of the checkout, or the user's own state folder where the
    checkout is read-only."""
    if environment.get("RETOUCH_RUNTIME"):
        return Path(environment["RETOUCH_RUNTIME"]).absolute()
    own = root / ".runtime"
    if is_writable(own):
        return own
    state = environment.get("XDG_STATE_HOME") or ""
    if not os.path.isabs(state):  # the XDG specification: a relative path is ignored
        state = os.path.join(environment.get("HOME") or os.sep, ".local", "state")
    user = Path(state) / "retouch"
    return user if is_writable(user) else Path(tempfile.gettempdir()) / f"retouch-{os.getuid()}"


def private_folder(folder: Path) -> Path:
    """The folder, made where it is missing, for its owner alone; PermissionError when another user
    owns it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")
    return folder


def is_writable(folder: Path) -> bool:
    """Whether files can be made in it; for a folder that is missing, whether it can be made."""
    while not folder.exists():
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK) and _writes(folder)


def _writes(folder: Path) -> bool:
    """os.access is not enough for root, or on some network folders."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


RUNTIME = runtime_folder()
