"""Writes a document as Markdown, with its plots as SVG files."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report.document import Block, Code, Document, Gallery, Plot, Table, Text, Warn

PLOTS = "plots"


def write(document: Document, out: Path) -> Path:
    """`out` gets report.md and a folder of plots; returns the former."""
    (out / PLOTS).mkdir(exist_ok=True)
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Plot):
                (out / PLOTS / f"{block.name}.svg").write_text(block.svg)
            if isinstance(block, Gallery):
                for path, encoded in _files(block):
                    (out / path).write_bytes(base64.b64decode(encoded))
    path = out / "report.md"
    path.write_text("\n\n".join(_parts(document)) + "\n")
    return path


def _parts(document: Document) -> Iterator[str]:
    yield f"# {document.title}"
    yield from document.lead
    if document.tiles:
        yield _table(
            ["", ""],
            [[tile.caption, f"**{tile.value}** {tile.unit}".strip()] for tile in document.tiles],
        )
    for section in document.sections:
        yield f"## {section.title}"
        yield from map(_block, section.blocks)


def _block(block: Block) -> str:
    match block:
        case Text(text):
            return text
        case Warn(text):
            return f"> {text}"
        case Table(columns, rows):
            return _table(columns, rows)
        case Plot(name, _, alternative):
            return f"![{alternative}]({PLOTS}/{name}.svg)"
        case Gallery(_, rows):
            files = _files(block)
            captions = list(rows[0][1])
            table = [
                [title, *(f"![{title}, {caption}]({next(files)[0]})" for caption in captions)]
                for title, _ in rows
            ]
            return _table(["instruction", *captions], table)
        case Code(lines):
            return "\n".join(["```sh", *lines, "```"])
    raise TypeError(f"{type(block).__name__} is no block")


def _files(gallery: Gallery) -> Iterator[tuple[str, str]]:
    """Path and base64 of every picture, row by row."""
    for number, (_, pictures) in enumerate(gallery.rows):
        for caption, encoded in pictures.items():
            yield f"{PLOTS}/{gallery.name}-{number}-{caption}.png", encoded


def _table(columns: list[str], rows: list[list[str]]) -> str:
    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(columns), "|---" * len(columns) + "|", *map(line, rows)])
