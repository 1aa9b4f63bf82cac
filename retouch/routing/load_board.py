"""A lane's notice board: what a denoiser's loop knows of itself, for the doors that choose among
the lanes.

They are other processes, and a call between models takes about a millisecond. So the loop keeps one
small record in a file that it has mapped into its memory, and a door reads the file: some
microseconds on either side.

- A record carries its own checksum. Whoever reads one while it is being written sees that, and reads again.
- The writer holds a lock on the file as long as it lives, and the kernel lets go of it however the process ends: a
  board whose lock is free tells of a lane that is gone.
- A door opens the file anew each time, so it finds the board of a lane that was loaded again.

Boards lie where RETOUCH_BOARD says, which is the beginning of their paths; without it, in the
temporary folder under the number of the parent process, which is the tritonserver for all of its
models. Whatever is wrong with a board, the answer is that nothing is known; no edit fails for it.
"""

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

FIELDS = struct.Struct(
    "<8sIIIdd"
)  # mark, edits, steps, default steps, seconds a step, time of writing
CHECK = struct.Struct("<I")
SIZE = FIELDS.size + CHECK.size
MARK = b"retouch1"
TRIES = 3  # to read a record that is whole


@dataclass(frozen=True)
class LoadReport:
    """What a lane has to do.

    `edits` it has admitted have `steps` still to take, all of them together; `step_seconds` is what
    one takes, 0.0 before the first. An edit that asks for no number of steps takes `default_steps`.
    `silent` are the seconds since the loop last said anything, 0.0 while it has no edits."""

    edits: int
    steps: int
    default_steps: int
    step_seconds: float
    silent: float = 0.0


class LoadBoard:
    """The board of `lane`, for the one process that writes it."""

    def __init__(self, lane: str, default_steps: int):
        self.lane = lane
        self.default_steps = default_steps
        self._path = path_of(lane)
        self._seconds = RunningMedian()
        self._record = self._hang()
        self.post(0, 0)

    @classmethod
    def of(cls, folder: Path) -> LoadBoard:
        """The board of the lane whose artifacts lie in `folder`; ArtifactError when there is no
        manifest."""
        manifest = read_manifest(folder)
        return cls(manifest.precision, manifest.settings["default_steps"])

    def post(self, edits: int, steps: int, seconds: float = 0.0) -> None:
        """What there is to do now, and the `seconds` that a step has just taken."""
        if seconds:
            self._seconds.add(seconds)
        fields = FIELDS.pack(
            MARK, edits, steps, self.default_steps, self._seconds.median(), time.monotonic()
        )
        self._record[:] = fields + CHECK.pack(zlib.crc32(fields))

    def remove(self) -> None:
        """Take it down; what is posted afterwards reaches nobody."""
        self._path.unlink(missing_ok=True)

    def _hang(self) -> mmap.mmap:
        try:
            self._path.unlink(missing_ok=True)
            # kept open: closing it would free the lock
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(self._file, bytes(SIZE))  # a full disk shows now, not at the first post
            fcntl.flock(self._file, fcntl.LOCK_EX)
            return mmap.mmap(self._file, SIZE)
        except OSError:
            return mmap.mmap(-1, SIZE)  # a board that nobody sees


def read(lane: str) -> LoadReport | None:
    """The load of a lane; None where nothing is known: no board, a dead process's, or something
    else in its place."""
    try:
        file = os.open(path_of(lane), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return _load(file) if os.fstat(file).st_uid == os.geteuid() and _is_held(file) else None
    except OSError:
        return None
    finally:
        os.close(file)


def path_of(lane: str) -> Path:
    prefix = env.BOARD.get() or f"{tempfile.gettempdir()}/retouch_{os.getppid()}_board_"
    return Path(prefix + lane)


def _is_held(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _load(file: int) -> LoadReport | None:
    for _ in range(TRIES):
        record = os.pread(file, SIZE, 0)
        fields = record[: FIELDS.size]
        check = record[FIELDS.size :]
        if check == CHECK.pack(zlib.crc32(fields)) and fields.startswith(MARK):
            _, edits, steps, default_steps, seconds, written = FIELDS.unpack(fields)
            return LoadReport(
                edits,
                steps,
                default_steps,
                seconds,
                max(0.0, time.monotonic() - written) if edits else 0.0,
            )
    return None
