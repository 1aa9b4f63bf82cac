"""Load reports: what every lane's denoiser publishes for the endpoints that choose a lane.

Endpoints are other processes, and a call between models takes about a millisecond. So a denoiser
keeps one small record in a memory-mapped file, which an endpoint reads in some microseconds.

- A record has a checksum. A reader that meets a record during a write sees that and reads again.
- The writer holds a lock on the file while it lives, and the kernel releases it at any end of the
  process. A file without a lock belongs to a lane that is gone.
- A reader opens the file anew each time, so it finds the report of a lane that was loaded again.

RETOUCH_BOARD is the beginning of the files' paths. Without it they lie in the temporary folder
under the number of the parent process, which is the tritonserver of all its models. A report that
cannot be read counts as unknown; no edit fails for it."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import tempfile
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

from retouch.artifacts.manifest import read as read_manifest
from retouch.util import env
from retouch.util.running_median import RunningMedian

# mark, edits, steps, default steps, seconds of a step, time of writing
FIELDS = struct.Struct("<8sIIIdd")
CHECKSUM = struct.Struct("<I")
SIZE = FIELDS.size + CHECKSUM.size
MARK = b"retouch1"
READ_ATTEMPTS = 3


@dataclass(frozen=True)
class LoadReport:
    """The load of a lane.

    `edits` are admitted, with `steps` left over all of them. `step_seconds` is the time of one
    step, 0.0 before the first. `default_steps` hold for an edit that asks for no number.
    `silent` is the time in seconds since the last report, 0.0 while there are no edits."""

    edits: int
    steps: int
    default_steps: int
    step_seconds: float
    silent: float = 0.0


class LoadReporter:
    """Publishes the load of `lane`, from the one process of its denoiser."""

    def __init__(self, lane: str, default_steps: int):
        self.lane = lane
        self.default_steps = default_steps
        self._path = path_of(lane)
        self._seconds = RunningMedian()
        self._record = self._map_file()
        self.publish(0, 0)

    @classmethod
    def of(cls, folder: Path) -> LoadReporter:
        """The reporter of the lane whose artifacts lie in `folder`; ArtifactError without a
        manifest."""
        manifest = read_manifest(folder)
        return cls(manifest.precision, manifest.settings["default_steps"])

    def publish(self, edits: int, steps: int, seconds: float = 0.0) -> None:
        """Write the current load. `seconds` is the time of the step that just ran, 0.0 without
        one."""
        if seconds:
            self._seconds.add(seconds)
        fields = FIELDS.pack(
            MARK, edits, steps, self.default_steps, self._seconds.median(), time.monotonic()
        )
        self._record[:] = fields + CHECKSUM.pack(zlib.crc32(fields))

    def remove(self) -> None:
        """Remove the file. Later reports have no reader."""
        self._path.unlink(missing_ok=True)

    def _map_file(self) -> mmap.mmap:
        """The memory of a new file; anonymous memory where no file can be made."""
        try:
            self._path.unlink(missing_ok=True)
            # kept open: closing it would release the lock
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(self._file, bytes(SIZE))  # a full disk fails here, not at the first report
            fcntl.flock(self._file, fcntl.LOCK_EX)
            return mmap.mmap(self._file, SIZE)
        except OSError:
            return mmap.mmap(-1, SIZE)


def read(lane: str) -> LoadReport | None:
    """The load of a lane; None without a report of a live process."""
    try:
        file = os.open(path_of(lane), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        is_ours = os.fstat(file).st_uid == os.geteuid()
        return _read_report(file) if is_ours and _is_locked(file) else None
    except OSError:
        return None
    finally:
        os.close(file)


def path_of(lane: str) -> Path:
    """The path of the lane's load report."""
    prefix = env.BOARD.get() or f"{tempfile.gettempdir()}/retouch_{os.getppid()}_board_"
    return Path(prefix + lane)


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _read_report(file: int) -> LoadReport | None:
    for _ in range(READ_ATTEMPTS):
        record = os.pread(file, SIZE, 0)
        fields = record[: FIELDS.size]
        checksum = record[FIELDS.size :]
        if checksum == CHECKSUM.pack(zlib.crc32(fields)) and fields.startswith(MARK):
            _, edits, steps, default_steps, seconds, written = FIELDS.unpack(fields)
            silent = max(0.0, time.monotonic() - written) if edits else 0.0
            return LoadReport(edits, steps, default_steps, seconds, silent)
    return None
