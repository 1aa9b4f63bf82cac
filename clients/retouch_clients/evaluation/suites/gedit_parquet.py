"""The .parquet files of GEdit-Bench, unpacked into pictures and rows. Needs pyarrow."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from retouch_clients.cli.output_files import write_output
from retouch_clients.evaluation.suites import files
from retouch_clients.evaluation.suites.base import SuiteError

TEXTS = ("task_type", "key", "instruction", "instruction_language", "Intersection_exist")
PICTURES = ("input_image", "input_image_raw")
ROWS = 16  # read at a time, as each holds two pictures


def tables(data: Path) -> list[Path]:
    """The files of the split `train`, which is the data set's only one."""
    return sorted([*data.glob("*.parquet"), *data.glob("data/*.parquet")])


def unpack(paths: Sequence[Path], folder: Path, index: str) -> Path:
    """Write the pictures and `index`, the rows, to the folder. An index that exists stays.

    SuiteError without pyarrow, or for files of another data set."""
    if (folder / index).is_file():
        return folder
    lines = []
    for path in paths:
        for row in _rows(path):
            lines.append(json.dumps(_unpacked(row, folder, path), ensure_ascii=False))
    write_output(folder / index, "\n".join(lines).encode(), force=True)
    return folder


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        arrow = import_module("pyarrow")  # no dependency of this package
        parquet = import_module("pyarrow.parquet")
    except ImportError:
        raise SuiteError(
            f"{path.name} is read by pyarrow, which is not installed; run pip install pyarrow, "
            "or write metadata.jsonl and the pictures (docs/evaluate.md)"
        ) from None
    try:
        file = parquet.ParquetFile(path)
        missing = {*TEXTS, *PICTURES} - set(file.schema_arrow.names)
        if missing:
            raise SuiteError(f"{path.name} has no column {', '.join(sorted(missing))}")
        for batch in file.iter_batches(batch_size=ROWS, columns=[*TEXTS, *PICTURES]):
            yield from batch.to_pylist()
    except (arrow.ArrowInvalid, OSError) as failure:
        raise SuiteError(f"{path.name} is not a parquet file: {failure}") from None


def _unpacked(row: dict[str, Any], folder: Path, path: Path) -> dict[str, Any]:
    """The row with names of files in place of pictures, which are written."""
    place = f"a row of {path.name}"
    parts = ("task_type", "instruction_language", "key")
    stem = "/".join(files.name_of(files.text_of(row, part, place), place) for part in parts)
    result = {name: row[name] for name in TEXTS}
    for column in PICTURES:
        cell = row[column]
        content = cell.get("bytes") if isinstance(cell, dict) else None
        if content:
            name = f"{stem}.{column}"
            write_output(folder / name, content, force=True)
            result[column] = name
    return result
