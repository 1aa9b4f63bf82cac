"""A report, whatever its format: sections of blocks. A text or a cell is one line of Markdown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Warn:
    """A note on what is missing."""

    text: str


@dataclass(frozen=True)
class Table:
    """Cells are Markdown; the first column names its row."""

    columns: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Plot:
    """`svg` is a whole file; `caption` describes it to readers who cannot see it."""

    name: str
    svg: str
    caption: str


@dataclass(frozen=True)
class Code:
    lines: list[str]


@dataclass(frozen=True)
class Gallery:
    """Rows of a title and PNG files as base64 by caption."""

    name: str
    rows: list[tuple[str, dict[str, str]]]


Block = Text | Warn | Table | Plot | Code | Gallery


@dataclass(frozen=True)
class Section:
    title: str
    blocks: list[Block]

    @property
    def anchor(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True)
class Tile:
    """A figure at the top of the report."""

    value: str
    unit: str
    caption: str


@dataclass(frozen=True)
class Document:
    title: str
    lead: list[str]
    tiles: list[Tile] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
