"""A report as its writers get it: sections of blocks, no matter of which format. Words are Markdown
of one line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Text:
    words: str


@dataclass(frozen=True)
class Warn:
    """What is missing."""

    words: str


@dataclass(frozen=True)
class Table:
    """Cells are words; the first column names its row."""

    columns: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Plot:
    """`svg` is a whole file; `words` say what it shows to who cannot see it."""

    name: str
    svg: str
    words: str


@dataclass(frozen=True)
class Code:
    lines: list[str]


@dataclass(frozen=True)
class Gallery:
    """Rows of PNG files as base64 by their captions, and the words of each row."""

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
    """A figure to see first."""

    value: str
    unit: str
    words: str


@dataclass(frozen=True)
class Document:
    title: str
    lead: list[str]
    tiles: list[Tile] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
