"""Log files: a new one for each start, of which the newest are kept, and none grows without end."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path

from retouch.launcher.paths import RUNTIME

FOLDER = RUNTIME / "logs"
KEPT = 10  # of each name
LARGEST = 64 << 20  # bytes of one file, and of the part before that is kept beside it


def new_log(name: str, folder: Path | None = None, kept: int = KEPT) -> Path:
    """The path of a log that no other start writes. Older logs of this name are removed, but for
    the newest."""
    folder = FOLDER if folder is None else folder
    logs = sorted(folder.glob(f"{name}-*.log"), key=_age)
    for log in logs[: max(0, len(logs) - kept + 1)]:
        if not _is_written(log):
            log.unlink(missing_ok=True)
            _part_before(log).unlink(missing_ok=True)
    moment = time.strftime("%Y%m%d-%H%M%S")
    path = folder / f"{name}-{moment}-{os.getpid()}.log"
    turn = 1
    while path.exists():
        turn += 1
        path = folder / f"{name}-{moment}-{os.getpid()}-{turn}.log"
    return path


def bound(file: int, largest: int = LARGEST) -> None:
    """Empty the log that is open as descriptor `file` when it is too large, after its content went
    beside it.

    Writers must have opened it for appending. What is no regular file is left alone.
    """
    with contextlib.suppress(OSError):
        if os.fstat(file).st_size <= largest:
            return
        path = Path(os.readlink(f"/proc/self/fd/{file}"))
        if path.is_file():
            shutil.copyfile(path, _part_before(path))
            os.truncate(path, 0)


def _part_before(log: Path) -> Path:
    return log.with_name(f"{log.name}.1")


def _age(log: Path) -> float:
    try:
        return log.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _is_written(log: Path) -> bool:
    """Whether the process that began it, by the number in its name, still lives."""
    number = log.stem.split("-")[3:4]
    return bool(number) and number[0].isdigit() and Path("/proc", number[0]).exists()
