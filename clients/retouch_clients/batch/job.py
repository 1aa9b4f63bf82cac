"""One edit of a batch: of an image in a folder, or of a row in a list."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retouch.api.errors import RequestError
from retouch.api.field import Field
from retouch.api.fields import FIELDS, REQUIRED
from retouch.api.request import EditRequest, request_to_values
from retouch_clients.batch.folder import is_system_file, listing
from retouch_clients.batch.journal import NAME
from retouch_clients.cli.output_files import STDOUT, format_of
from retouch_clients.edit_options import read_files, suffix_of


@dataclass(frozen=True)
class Job:
    """The image's path, the instruction, the result's name in the batch's folder, and EditRequest's
    other attributes, in which files are paths."""

    image: Path
    instruction: str
    out: str
    fields: dict[str, Any]

    def request(self) -> EditRequest:
        """The request with its files read; RequestError."""
        try:
            return EditRequest(
                instruction=self.instruction, **read_files({"image": self.image} | self.fields)
            ).validate()
        except OSError as failure:
            raise RequestError(
                f"{Path(failure.filename).name} cannot be read: {failure.strerror}"
            ) from None

    def key(self, request: EditRequest) -> str:
        """A hash of the image, the instruction, the options and the result's name, without a random
        seed."""
        values = request_to_values(request) | {"OUT": self.out}
        if "seed" not in self.fields:
            del values["SEED"]
        return hashlib.sha256(repr(sorted(values.items())).encode()).hexdigest()


class ListError(ValueError):
    """A list that cannot be used. The message is a sentence with the place and the reason."""


def jobs_of_folder(folder: Path, instruction: str, fields: dict[str, Any]) -> list[Job]:
    """All images of a folder, sorted by name, without those of its subfolders."""
    return _named((image, instruction, "", fields) for image in listing(folder).images)


def jobs_of_list(path: Path, fields: dict[str, Any], clutter: list[str] | None = None) -> list[Job]:
    """The rows of a CSV file with a header, or of a file with one JSON object per line. Paths are
    relative to the file. `fields` are the defaults of a row. Rows of system files, as
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

# image, instruction, name of the result or "", other attributes of EditRequest
Row = tuple[Path, str, str, dict[str, Any]]


OPTIONS = tuple(field for field in FIELDS if field.column and not field.is_required)
COLUMNS = ("image", "instruction", "out", *(field.column for field in OPTIONS), "mask")


def _row(row: dict[str, Any], folder: Path, fields: dict[str, Any]) -> Row:
    cells = {name: value for name, value in row.items() if value not in (None, "")}
    if unknown := [name for name in cells if name not in COLUMNS]:
        raise ValueError(f"there is no column {unknown[0]}; there are {', '.join(COLUMNS)}")
    for name in REQUIRED:
        if name.lower() not in cells:
            raise ValueError(f"{name.lower()} is missing")
    own = {
        field.attribute: _value(field, cells[field.column], folder)
        for field in OPTIONS
        if field.column in cells
    }
    if "mask" in cells:
        own["region"] = folder / str(cells["mask"])
    return folder / str(cells["image"]), str(cells["instruction"]), _out(cells), fields | own


def _value(field: Field, cell: Any, folder: Path) -> Any:
    """EditRequest's value of a cell, in which files are paths relative to `folder`; ValueError."""
    if field.type in (int, float):
        return _number(field, cell)
    if field.type is tuple:
        paths = cell if isinstance(cell, list) else str(cell).split(";")
        return tuple(folder / str(path).strip() for path in paths)
    return str(cell).encode() if field.type is bytes else str(cell)


def _number(field: Field, cell: Any) -> int | float:
    try:
        if field.type is float:
            return float(cell)
        if isinstance(cell, float) and not cell.is_integer():  # `int` takes 7.9 for 7
            raise ValueError(cell)
        return int(cell)
    except (ValueError, TypeError, OverflowError):
        kind = "a whole number" if field.type is int else "a number"
        raise ValueError(f"{field.column} is {cell!r}; it must be {kind}") from None


def _out(cells: dict[str, Any]) -> str:
    """The result's name in normal form (./b.png is b.png), or "" without one; ValueError."""
    if "out" not in cells:
        return ""
    out = os.path.normpath(str(cells["out"]))
    if Path(out).is_absolute() or ".." in Path(out).parts or out == ".":
        raise ValueError(f"out is {cells['out']}; it must be a name below the batch's folder")
    if out == STDOUT:
        raise ValueError("out is -; a batch writes files")
    if out == NAME:
        raise ValueError(f"out is {NAME}; the batch's journal has that name")
    return out


def _content(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")  # spreadsheets write a byte order mark
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
    """Whether a row has only commas and blanks, as spreadsheets write at the end of a file."""
    values = (
        value for cells in row.values() for value in (cells if isinstance(cells, list) else [cells])
    )
    return not any(value and value.strip() for value in values)


def _json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    lines = _content(path).split("\n")  # `splitlines` would break inside texts too
    for number, line in enumerate(lines, 1):
        if line.strip():
            row = _json_row(line)
            if row is None:
                raise ListError(
                    f"{path.name}, line {number}: it must be a JSON object, "
                    'as {"image": "a.png", …}'
                )
            yield number, row


def _json_row(line: str) -> dict[str, Any] | None:
    """The JSON object of a line; None for anything else."""
    try:
        row = json.loads(line)
        json.dumps(row, ensure_ascii=False).encode()  # surrogates are no UTF-8 text
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


# -- names of results ------------------------------------------------------------------------------


def _named(rows: Iterable[Row]) -> list[Job]:
    """Jobs with unique names of results: the row's, or the image's with a number from the second
    on. The format follows from the name where the row has none."""
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
