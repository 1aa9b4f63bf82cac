"""Answers that wait on disk until the store is back: a file of JSON lines."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from retouch_clients.feedback.records import Answer, KeptImage, Recorded

MOST_BYTES = 256 << 20


class SpoolFull(Exception):
    """The spool has its largest size."""


class Spool:
    """The file at `path`, which processes share by a lock. OSError where the disk fails."""

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES):
        self.path = path
        self._most_bytes = most_bytes

    def append(self, recorded: Sequence[Recorded]) -> None:
        """Add answers; they are on disk when this returns. SpoolFull."""
        lines = b"".join(_line_of(entry) for entry in recorded)
        with self._locked() as file:
            end = file.seek(0, os.SEEK_END)
            if not _is_whole(file, end):
                lines = b"\n" + lines
            if end + len(lines) > self._most_bytes:
                raise SpoolFull
            try:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):  # half a line would hide the next one
                    file.truncate(end)
                raise

    def drain(self, store: Callable[[Sequence[Recorded]], None]) -> int:
        """Pass all answers to `store`, then empty the file. Returns their number.

        If `store` raises, all of them stay."""
        if not self.has_entries():
            return 0
        with self._locked() as file:
            recorded = list(_entries(file))
            if recorded:
                store(recorded)
            file.truncate(0)
        return len(recorded)

    def has_entries(self) -> bool:
        try:
            return self.path.stat().st_size > 0
        except OSError:
            return False

    def request_ids(self) -> set[str]:
        """The requests whose answers wait here."""
        if not self.has_entries():
            return set()
        with self._locked() as file:
            return {entry.answer.request_id for entry in _entries(file)}

    @contextlib.contextmanager
    def _locked(self) -> Iterator[IO[bytes]]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file


def _is_whole(file: IO[bytes], end: int) -> bool:
    """Whether the last line has an end; a process may have been killed within it."""
    if not end:
        return True
    file.seek(end - 1)
    return file.read(1) == b"\n"


def _line_of(recorded: Recorded) -> bytes:
    value: dict[str, Any] = {
        "answer": asdict(recorded.answer),
        "images": [
            asdict(image) | {"data": base64.b64encode(image.data).decode()}
            for image in recorded.images
        ],
    }
    return json.dumps(value).encode() + b"\n"


def _entries(file: IO[bytes]) -> Iterator[Recorded]:
    """The file's entries. A last line without an end was not written whole, and is left out."""
    file.seek(0)
    for line in file.read().split(b"\n")[:-1]:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            value = json.loads(line)
            images = (
                KeptImage(**image | {"data": base64.b64decode(image["data"])})
                for image in value["images"]
            )
            yield Recorded(Answer(**value["answer"]), tuple(images))
