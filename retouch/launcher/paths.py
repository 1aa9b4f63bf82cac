"""The checkout and the runtime folder: logs, secrets and running servers. Nothing in it is needed
after the last server has ended."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from retouch.util import env

ROOT = Path(__file__).resolve().parents[2]  # of the checkout; site-packages for an installed wheel
IS_CHECKOUT = (ROOT / "pyproject.toml").is_file()


def default_repository(
    root: Path | None = ROOT if IS_CHECKOUT else None,
    environment: Mapping[str, str] | None = None,
) -> Path:
    """RETOUCH_REPOSITORY, or model_repository of the checkout. Without a checkout (`root` None),
    model_repository of the current folder."""
    return Path(env.REPOSITORY.get(environment) or (root or Path()) / "model_repository").absolute()


def runtime_folder(
    root: Path | None = ROOT if IS_CHECKOUT else None,
    environment: Mapping[str, str] | None = None,
) -> Path:
    """RETOUCH_RUNTIME, or .runtime of the checkout. Without a checkout (`root` None), or where it
    is read-only, a folder of the user's."""
    if env.RUNTIME.get(environment):
        return Path(env.RUNTIME.get(environment)).absolute()
    if root is not None and is_writable(root / ".runtime"):
        return root / ".runtime"
    state = env.STATE_HOME.get(environment)
    if not os.path.isabs(state):  # the XDG specification: a relative path is ignored
        state = os.path.join(env.HOME.get(environment), ".local", "state")
    user = Path(state) / "retouch"
    return user if is_writable(user) else Path(tempfile.gettempdir()) / f"retouch-{os.getuid()}"


def private_folder(folder: Path) -> Path:
    """Make the folder, readable to its owner only, if it is missing; PermissionError when another
    user owns it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")
    return folder


def is_writable(folder: Path) -> bool:
    """Whether files can be made in the folder; for a missing one, whether it can be made."""
    while not folder.exists():
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK) and _can_write(folder)


def _can_write(folder: Path) -> bool:
    """Whether a file can be made. os.access is wrong for root and on some network folders."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


RUNTIME = runtime_folder()
