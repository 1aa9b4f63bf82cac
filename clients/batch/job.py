"""One edit of a batch: from a folder's image, or from a row of a list."""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.knobs import read, suffix_of
from retouch.types import EditRequest, RequestError, request_to_values

IMAGES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class Job:
    """An image's path, its sentence, the result's name below the batch's folder, and EditRequest's other fields, of
    which files are paths."""

    image: Path
    instruction: str
    out: str
    fields: dict[str, Any]

    def request(self) -> EditRequest:
        """With everything read; RequestError."""
        try:
            return EditRequest(instruction=self.instruction, **read({"image": self.image} | self.fields)).validate()
        except OSError as failure:
            raise RequestError(f"{Path(failure.filename).name} cannot be read: {failure.strerror}") from None

    def key(self, request: EditRequest) -> str:
        """The same for the same image, sentence, knobs and name of the result; a seed that is drawn does not count."""
        values = request_to_values(request) | {"OUT": self.out}
        if "seed" not in self.fields:
            del values["SEED"]
        return hashlib.sha256(repr(sorted(values.items())).encode()).hexdigest()


class ListError(ValueError):
    """A list that cannot be used: one sentence that says where and why."""


def jobs_of_folder(folder: Path, instruction: str, fields: dict[str, Any]) -> list[Job]:
    """All images of a folder, by name; not those of folders in it."""
    images = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES and path.is_file())
    return _named((image, instruction, "", fields) for image in images)


def jobs_of_list(path: Path, fields: dict[str, Any]) -> list[Job]:
    """The rows of a CSV file with a head, or of a file of JSON objects, one a line. Paths in it are relative to it,
    and what a row does not say is as in `fields`. ListError."""
    rows = _csv_rows(path) if path.suffix.lower() == ".csv" else _json_rows(path)
    parsed = []
    for line, row in rows:
        try:
            parsed.append(_row(row, path.parent, fields))
        except (ValueError, TypeError) as failure:
            raise ListError(f"{path.name}, line {line}: {failure}") from None
    return _named(parsed)


# -- rows -------------------------------------------------------------------------------------------------------------

Row = tuple[Path, str, str, dict[str, Any]]  # image, sentence, name of the result or "", fields
NUMBERS: dict[str, Callable[[Any], Any]] = {
    "seed": int, "steps": int, "guidance": float, "deadline_ms": int, "priority": int, "step_cache": float,
    "true_cfg": float}
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
        paths = given["references"] if isinstance(given["references"], list) else str(given["references"]).split(";")
        own["references"] = tuple(folder / str(path).strip() for path in paths)
    return folder / str(given["image"]), str(given["instruction"]), _inside(str(given.get("out", ""))), fields | own


def _number(name: str, value: Any) -> Any:
    try:
        return NUMBERS[name](value)
    except (ValueError, TypeError):
        raise ValueError(f"{name} is {value!r}; it must be a number") from None


def _inside(out: str) -> str:
    if Path(out).is_absolute() or ".." in Path(out).parts:
        raise ValueError(f"out is {out}; it must be a name below the batch's folder")
    return out


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets begin a file with a mark
        reader = csv.DictReader(file, restkey="more than the head has")
        for row in reader:
            yield reader.line_num, row


def _json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                raise ListError(f"{path.name}, line {number}: it must be a JSON object, as {{\"image\": \"a.png\", …}}")
            yield number, row


# -- names of results -------------------------------------------------------------------------------------------------


def _named(rows: Iterable[Row]) -> list[Job]:
    """Jobs whose results have names of their own: the one that is asked for, or the image's, with a number from
    the second on."""
    rows, jobs = list(rows), []
    taken = {out for _, _, out, _ in rows if out}
    if len(taken) < sum(bool(out) for _, _, out, _ in rows):
        raise ListError("two rows have the same out; each needs its own")
    for image, instruction, out, fields in rows:
        suffix = suffix_of(fields["format"])
        names = (f"{image.stem}{f'-{number}' if number > 1 else ''}{suffix}" for number in itertools.count(1))
        name = out or next(name for name in names if name not in taken)
        taken.add(name)
        jobs.append(Job(image, instruction, name, fields))
    return jobs
