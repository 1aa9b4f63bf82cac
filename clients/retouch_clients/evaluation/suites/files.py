"""Files of a suite's data, checked as they are read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from retouch_clients.cli.output_files import write_output
from retouch_clients.evaluation.suites.base import SuiteError


def read_text(path: Path) -> str:
    """The content of a text file; SuiteError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise SuiteError(f"{path} is not text in UTF-8") from None
    except OSError as failure:
        raise SuiteError(f"{path} cannot be read: {failure.strerror}") from None


def read_json(path: Path) -> Any:
    """The content of a JSON file; SuiteError."""
    try:
        return json.loads(read_text(path))
    except SuiteError:
        raise
    except (ValueError, RecursionError) as failure:
        raise SuiteError(f"{path} is not JSON: {failure}") from None


def text_of(row: Mapping[str, Any], names: str | Iterable[str], place: str) -> str:
    """The text in the first of these columns that the row has; SuiteError names the place."""
    columns = (names,) if isinstance(names, str) else tuple(names)
    for name in columns:
        value = row.get(name)
        if isinstance(value, str) and value.strip():
            return value
    raise SuiteError(f"{place} has no text in {' or '.join(columns)}")


def name_of(value: Any, place: str) -> str:
    """A value that names a file or folder of results; SuiteError for what leads elsewhere."""
    name = str(value)
    if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise SuiteError(f"{place}: {name!r} cannot name a file")
    return name


def picture(folders: Iterable[Path], name: str, place: str) -> Path:
    """The picture of this relative name in the first folder that has it; SuiteError."""
    places = tuple(folders)
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts:
        raise SuiteError(f"{place}: {name!r} leads out of the data folder")
    for folder in places:
        if (folder / parts).is_file():
            return folder / parts
    raise SuiteError(f"{place}: there is no picture {name} in {' or '.join(map(str, places))}")


def copy_once(source: Path, target: Path) -> None:
    """Copy a file unless a copy of its size is there; OutputError."""
    if target.is_file() and target.stat().st_size == source.stat().st_size:
        return
    write_output(target, source.read_bytes(), force=True)


def write_json(path: Path, content: Any) -> None:
    """Write the content; OutputError."""
    text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    write_output(path, text.encode(), force=True)
