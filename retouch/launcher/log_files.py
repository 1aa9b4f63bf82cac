"""Log files: every start has a new one, the newest are kept, and the size of one is limited."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path

from retouch.launcher.paths import RUNTIME

FOLDER = RUNTIME / "logs"
KEPT = 10  # logs of one name
LARGEST = 64 << 20  # bytes of a log, and of its earlier part in a second file


def new_log(name: str, folder: Path | None = None, kept: int = KEPT) -> Path:
    """A path that no other start writes to. Of the older logs of this name only the newest are
    kept."""
    folder = FOLDER if folder is None else folder
    logs = sorted(folder.glob(f"{name}-*.log"), key=_age)
    for log in logs[: max(0, len(logs) - kept + 1)]:
        if not _is_written(log):
            log.unlink(missing_ok=True)
            _earlier_part(log).unlink(missing_ok=True)
    moment = time.strftime("%Y%m%d-%H%M%S")
    path = folder / f"{name}-{moment}-{os.getpid()}.log"
    number = 1
    while path.exists():
        number += 1
        path = folder / f"{name}-{moment}-{os.getpid()}-{number}.log"
    return path


def bound(file: int, largest: int = LARGEST) -> None:
    """When the log with descriptor `file` is too large, move its content to a second file.

    Writers must have opened it for appending. Only regular files are changed.
    """
    with contextlib.suppress(OSError):
        if os.fstat(file).st_size <= largest:
            return
        path = Path(os.readlink(f"/proc/self/fd/{file}"))
        if path.is_file():
            shutil.copyfile(path, _earlier_part(path))
            os.truncate(path, 0)


def _earlier_part(log: Path) -> Path:
    return log.with_name(f"{log.name}.1")


def _age(log: Path) -> float:
    try:
        return log.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _is_written(log: Path) -> bool:
    """Whether the process that started the log (its id is in the name) still runs."""
    process = log.stem.split("-")[3:4]
    return bool(process) and process[0].isdigit() and Path("/proc", process[0]).exists()
