"""One edit of a batch: from a folder's image, or from a row of a list."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retouch.api.errors import RequestError
from retouch.api.request import EditRequest, request_to_values
from retouch_clients.batch.folder import is_system_file, listing
from retouch_clients.batch.journal import NAME
from retouch_clients.cli.output_files import STDOUT, format_of
from retouch_clients.edit_options import read, suffix_of


@dataclass(frozen=True)
class Job:
    """An image's path, its sentence, the result's name below the batch's folder, and EditRequest's
    other fields, of which files are paths."""

    image: Path
    instruction: str
    out: str
    fields: dict[str, Any]

    def request(self) -> EditRequest:
        """With everything read; RequestError."""
        try:
            return EditRequest(
                instruction=self.instruction, **read({"image": self.image} | self.fields)
            ).validate()
        except OSError as failure:
            raise RequestError(
                f"{Path(failure.filename).name} cannot be read: {failure.strerror}"
            ) from None

    def key(self, request: EditRequest) -> str:
        """The same for the same image, sentence, knobs and name of the result; a seed that is drawn
        does not count."""
        values = request_to_values(request) | {"OUT": self.out}
        if "seed" not in self.fields:
            del values["SEED"]
        return hashlib.sha256(repr(sorted(values.items())).encode()).hexdigest()


class ListError(ValueError):
    """A list that cannot be used: one sentence that says where and why."""


def jobs_of_folder(folder: Path, instruction: str, fields: dict[str, Any]) -> list[Job]:
    """All images of a folder, by name; not those of folders in it."""
    return _named((image, instruction, "", fields) for image in listing(folder).images)


def jobs_of_list(path: Path, fields: dict[str, Any], clutter: list[str] | None = None) -> list[Job]:
    """The rows of a CSV file with a head, or of a file of JSON objects, one a line. Paths in it are
    relative to it, and what a row does not say is as in `fields`. Rows of clutter, as
    `._photo.jpg`, are left out, and their names are added to `clutter`. ListError."""
    rows = _csv_rows(path) if path.suffix.lower() == ".csv" else _json_rows(path)
    parsed = []
    for line, row in rows:
        try:
            job = _row(row, path.parent, fields)
            if not is_system_file(job[0]):
                parsed.append(job)
            elif clutter is not None:
                clutter.append(job[0].name)
        except (ValueError, TypeError) as failure:
            raise ListError(f"{path.name}, line {line}: {failure}") from None
    return _named(parsed)


# -- rows ------------------------------------------------------------------------------------------

Row = tuple[Path, str, str, dict[str, Any]]  # image, sentence, name of the result or "", fields


def _whole(value: Any) -> int:
    """ValueError for 7.9, which `int` would take for 7."""
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(value)
    return int(value)


NUMBERS: dict[str, Callable[[Any], Any]] = {
    "seed": _whole,
    "steps": _whole,
    "guidance": float,
    "deadline_ms": _whole,
    "priority": _whole,
    "step_cache": float,
    "true_cfg": float,
}
TEXTS = ("precision", "region", "format", "negative")
COLUMNS = ("image", "instruction", "out", *NUMBERS, *TEXTS, "mask", "references")


def _row(row: dict[str, Any], folder: Path, fields: dict[str, Any]) -> Row:
    given = {name: value for name, value in row.items() if value not in (None, "")}
    if unknown := [name for name in given if name not in COLUMNS]:
        raise ValueError(f"there is no column {unknown[0]}; there are {', '.join(COLUMNS)}")
    for name in ("image", "instruction"):
        if name not in given:
            raise ValueError(f"{name} is missing")
    own: dict[str, Any] = {name: _number(name, given[name]) for name in NUMBERS if name in given}
    own |= {name: str(given[name]) for name in TEXTS if name in given}
    if "mask" in given:
        own["region"] = folder / str(given["mask"])
    elif "region" in own:
        own["region"] = own["region"].encode()
    if "references" in given:
        paths = (
            given["references"]
            if isinstance(given["references"], list)
            else str(given["references"]).split(";")
        )
        own["references"] = tuple(folder / str(path).strip() for path in paths)
    return folder / str(given["image"]), str(given["instruction"]), _out(given), fields | own


def _number(name: str, value: Any) -> Any:
    try:
        return NUMBERS[name](value)
    except (ValueError, TypeError, OverflowError):
        kind = "a whole number" if NUMBERS[name] is _whole else "a number"
        raise ValueError(f"{name} is {value!r}; it must be {kind}") from None


def _out(given: dict[str, Any]) -> str:
    """The result's name, or "" where none is asked for: one for one file, so that b.png is
    ./b.png."""
    if "out" not in given:
        return ""
    out = os.path.normpath(str(given["out"]))
    if Path(out).is_absolute() or ".." in Path(out).parts or out == ".":
        raise ValueError(f"out is {given['out']}; it must be a name below the batch's folder")
    if out == STDOUT:
        raise ValueError("out is -; a batch writes files")
    if out == NAME:
        raise ValueError(f"out is {NAME}; the batch's journal has that name")
    return out


def _content(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")  # spreadsheets begin a file with a mark
    except UnicodeDecodeError:
        raise ListError(f"{path.name} is not text in UTF-8; save it as that") from None


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(
        io.StringIO(_content(path), newline=""), restkey="more than the head has"
    )
    try:
        for row in reader:
            if not _is_blank(row):
                yield reader.line_num, row
    except csv.Error as failure:
        raise ListError(f"{path.name}, line {reader.line_num + 1}: {failure}") from None


def _is_blank(row: dict[str, Any]) -> bool:
    """Whether a row has commas and blanks alone, as spreadsheets end a file with."""
    values = (
        value for cells in row.values() for value in (cells if isinstance(cells, list) else [cells])
    )
    return not any(value and value.strip() for value in values)


def _json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(
        _content(path).split("\n"), 1
    ):  # a text may hold what else `splitlines` breaks at
        if line.strip():
            try:
                row = json.loads(line)
                json.dumps(
                    row, ensure_ascii=False
                ).encode()  # half a character is text for nobody else
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                raise ListError(
                    f'{path.name}, line {number}: it must be a JSON object, as {{"image": "a.png", …}}'
                )
            yield number, row


# -- names of results ------------------------------------------------------------------------------


def _named(rows: Iterable[Row]) -> list[Job]:
    """Jobs whose results have names of their own: the one that is asked for, or the image's, with a
    number from the second on. A name says the format where nothing else does."""
    rows = list(rows)
    jobs = []
    taken = {out for _, _, out, _ in rows if out}
    if len(taken) < sum(bool(out) for _, _, out, _ in rows):
        raise ListError("two rows have the same out; each needs its own")
    for image, instruction, out, fields in rows:
        suffix = suffix_of(fields.get("format", EditRequest.format))
        names = (
            f"{image.stem}{f'-{number}' if number > 1 else ''}{suffix}"
            for number in itertools.count(1)
        )
        name = out or next(name for name in names if name not in taken)
        taken.add(name)
        try:
            jobs.append(
                Job(
                    image,
                    instruction,
                    name,
                    fields | {"format": format_of(name, fields.get("format"))},
                )
            )
        except ValueError as failure:
            raise ListError(f"out of {image.name}: {failure}") from None
    return jobs
