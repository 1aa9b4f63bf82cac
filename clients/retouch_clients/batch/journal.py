"""The journal of a batch: one line of JSON for each finished or failed edit, in order.

An evaluation keeps its judge's answers in a journal too."""

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
    """The journal `name` in `folder`, which is created if missing.

    click.ClickException if another process has the journal open."""

    def __init__(self, folder: Path, name: str = NAME):
        self._folder = folder
        self._path = folder / name
        self._file: IO[str]  # open in a `with` block
        self._ended: dict[str, dict[str, Any]] = {}  # by key, the last entry
        self._writer: dict[str, str] = {}  # by result, the key of the last edit that wrote it

    def __enter__(self) -> Journal:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a+", encoding="utf-8")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise click.ClickException(
                f"another batch is writing to {self._folder}; wait for it, or choose another folder"
            ) from None
        except OSError as failure:
            raise click.FileError(str(self._path), failure.strerror) from None
        self._read()
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()  # releases the lock too

    def last(self, key: str) -> dict[str, Any] | None:
        """The last entry with this key; None without one."""
        return self._ended.get(key)

    def done(self, key: str) -> bool:
        """Whether the last edit with this key succeeded and its result still exists."""
        entry = self._ended.get(key, {})
        if entry.get("status") != DONE or self._writer.get(entry["out"]) != key:
            return False
        return (self._folder / entry["out"]).is_file()

    def add(self, key: str, **entry: Any) -> None:
        """Append the entry of an edit that ended."""
        self._note(key, entry)
        self._file.write(json.dumps({"key": key, **entry}, ensure_ascii=False) + "\n")
        self._file.flush()

    def _note(self, key: str, entry: dict[str, Any]) -> None:
        self._ended[key] = entry
        if entry.get("status") == DONE:
            self._writer[entry["out"]] = key

    def _read(self) -> None:
        """Read the entries. A line that a killed run left incomplete is skipped and terminated."""
        self._file.seek(0)
        text = self._file.read()
        for line in text.split("\n"):  # an instruction may contain other separators of `splitlines`
            try:
                entry = json.loads(line)
                self._note(entry.pop("key"), entry)
            except (ValueError, KeyError, AttributeError, TypeError):
                continue
        self._file.seek(0, os.SEEK_END)
        if text and not text.endswith("\n"):
            self._file.write("\n")
