"""What a batch has done, in its folder: one line of JSON for each edit that ended, in the order in
which they did."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import IO, Any

import click

NAME = "journal.jsonl"
DONE = "done"
FAILED = "failed"


class Journal:
    """Of the batch in `folder`, which is made where there is none. One process at a time may have
    it (click.ClickException)."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._path = folder / NAME
        self._file: IO[str] | None = None
        self._ended: dict[str, dict[str, Any]] = {}  # by key, the last entry
        self._writer: dict[str, str] = {}  # by result, the key of the edit that wrote it last

    def __enter__(self) -> Journal:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a+", encoding="utf-8")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise click.ClickException(
                f"another batch is writing to {self._folder}; wait for it, or take another folder"
            ) from None
        except OSError as failure:
            raise click.FileError(str(self._path), failure.strerror) from None
        self._read()
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()  # and with it the lock

    def done(self, key: str) -> bool:
        """Whether the last edit of this key ended well and its result is still there."""
        entry = self._ended.get(key, {})
        if entry.get("status") != DONE or self._writer.get(entry["out"]) != key:
            return False
        return (self._folder / entry["out"]).is_file()

    def add(self, key: str, **entry: Any) -> None:
        self._note(key, entry)
        self._file.write(json.dumps({"key": key, **entry}, ensure_ascii=False) + "\n")
        self._file.flush()

    def _note(self, key: str, entry: dict[str, Any]) -> None:
        self._ended[key] = entry
        if entry.get("status") == DONE:
            self._writer[entry["out"]] = key

    def _read(self) -> None:
        """What a run that was killed has cut short does not count, and the next entry begins on a
        line of its own."""
        self._file.seek(0)
        text = self._file.read()
        for line in text.split("\n"):  # a sentence may hold what else `splitlines` breaks at
            try:
                entry = json.loads(line)
                self._note(entry.pop("key"), entry)
            except (ValueError, KeyError, AttributeError, TypeError):
                continue
        self._file.seek(0, os.SEEK_END)
        if text and not text.endswith("\n"):
            self._file.write("\n")
