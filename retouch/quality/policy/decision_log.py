"""The log of decisions: one JSON line each, in files of bounded size.

Lines are queued and written by a thread, so that a slow disk delays no edit. A line that finds the
queue or the disk full is dropped and counted. Each process has a file of its own."""

from __future__ import annotations

import json
import logging
import os
import queue
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LOG = logging.getLogger(__name__)
MAX_BYTES = 16 << 20  # of one file
FILES = 4  # the current one and older ones, numbered .1, .2, …
QUEUED = 4096  # lines
PAUSE = 60.0  # seconds between warnings


class DecisionLog:
    """Appends records to `path`; `written` and `dropped` count them. At `max_bytes` the file
    becomes `path`.1, and the oldest of `files` files is deleted."""

    def __init__(
        self, path: Path, max_bytes: int = MAX_BYTES, files: int = FILES, queued: int = QUEUED
    ):
        if max_bytes < 1 or files < 1 or queued < 1:
            raise ValueError("max_bytes, files and queued must be 1 or more")
        self.written = 0
        self.dropped = 0
        self._path = path
        self._max_bytes = max_bytes
        self._files = files
        self._count = threading.Lock()
        self._warned = -PAUSE
        self._lines: queue.Queue[bytes | None] = queue.Queue(queued)
        self._thread = threading.Thread(target=self._run, name="decision-log", daemon=True)
        self._thread.start()

    def write(self, record: Mapping[str, Any]) -> None:
        """Queue one record. It never waits and never fails."""
        try:
            line = json.dumps(record, separators=(",", ":"), allow_nan=False)
            self._lines.put_nowait(line.encode() + b"\n")
        except (queue.Full, TypeError, ValueError, RecursionError) as failure:
            self._drop(f"the queue is full ({type(failure).__name__})")

    def close(self, seconds: float = 5.0) -> None:
        """Write what is queued, for at most `seconds`."""
        try:
            self._lines.put(None, timeout=seconds)
        except queue.Full:
            return
        self._thread.join(seconds)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._append(line)
                with self._count:
                    self.written += 1
            except OSError as failure:
                self._drop(failure.strerror or type(failure).__name__)

    def _append(self, line: bytes) -> None:
        """OSError leaves no part of the line in the file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(file).st_size
            if size and size + len(line) > self._max_bytes:
                os.close(file)
                self._rotate()
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                file = os.open(self._path, flags, 0o600)
                size = os.fstat(file).st_size
            if os.write(file, line) < len(line):
                os.ftruncate(file, size)
                raise OSError("only a part of the line has been written")
        finally:
            os.close(file)

    def _rotate(self) -> None:
        names = [self._path, *(numbered(self._path, i) for i in range(1, self._files))]
        names[-1].unlink(missing_ok=True)
        for newer, older in reversed(list(zip(names, names[1:]))):
            if newer.exists():
                newer.replace(older)

    def _drop(self, reason: str) -> None:
        with self._count:
            self.dropped += 1
            is_time = time.monotonic() - self._warned >= PAUSE
            if is_time:
                self._warned = time.monotonic()
        if is_time:
            LOG.warning("decisions are dropped, %d so far: %s", self.dropped, reason)


def numbered(path: Path, number: int) -> Path:
    """The name of an older file; 1 is the youngest."""
    return path.with_name(f"{path.name}.{number}")


def read_decisions(path: Path, files: int = FILES) -> tuple[list[dict[str, Any]], int]:
    """The records of all files of a log, the oldest first, and the number of unreadable lines."""
    records: list[dict[str, Any]] = []
    unreadable = 0
    for name in [*(numbered(path, i) for i in range(files - 1, 0, -1)), path]:
        if not name.exists():
            continue
        for line in name.read_bytes().splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if isinstance(record, dict):
                records.append(record)
            else:
                unreadable += 1
    return records, unreadable
