"""What published checkpoints hold, by the tables in tests/published: their files as headers without
content.

A table is of a network: its class, its config, and its layouts, each with a `source`. A layout's
`tensors` map patterns of names, `layers.{0..11}.weight`, to [type, shape]; `bytes` is their
published sum. The files that are made of it are sparse: they are as long as the real ones and take
no space."""

from __future__ import annotations

import itertools
import json
import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

TABLES = Path(__file__).parent / "published"
SIZES = {"BF16": 2, "F16": 2, "F32": 4, "I64": 8}


@dataclass(frozen=True)
class Layout:
    """One way in which a network's files are laid out; its `partial` are parameters that it has no
    tensor of."""

    network: str
    table: dict[str, Any]
    content: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.network}: {self.content['name']}"

    @cached_property
    def tensors(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Type and shape of each tensor by its published name."""
        return {
            name: (kind, tuple(shape))
            for pattern, (kind, shape) in self.content["tensors"].items()
            for name in expanded(pattern)
        }

    @property
    def bytes(self) -> int:
        return sum(SIZES[kind] * math.prod(shape) for kind, shape in self.tensors.values())

    def write(self, folder: Path) -> None:
        """The config, the weights' headers and the index."""
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(self.table["config"]))
        names = list(self.tensors)
        files = self.content["files"]
        share = math.ceil(len(names) / len(files))
        parts = {
            file: names[number * share : (number + 1) * share] for number, file in enumerate(files)
        }
        for file, part in parts.items():
            write_header(folder / file, {name: self.tensors[name] for name in part})
        if "index" in self.content:
            places = {name: file for file, part in parts.items() for name in part}
            (folder / self.content["index"]).write_text(
                json.dumps({"metadata": {"total_size": self.bytes}, "weight_map": places})
            )


def layouts(network: str | None = None) -> list[Layout]:
    """Those of a network, or all, the published one of each first."""
    tables = {path.stem: json.loads(path.read_text()) for path in sorted(TABLES.glob("*.json"))}
    return [
        Layout(name, table, content)
        for name, table in tables.items()
        if network in (None, name)
        for content in table["layouts"]
    ]


def expanded(pattern: str) -> Iterator[str]:
    """The names that a pattern stands for: {0..3,7} are whole numbers."""
    parts = re.split(r"\{([^}]*)\}", pattern)
    choices = [
        [part] if place % 2 == 0 else list(_numbers(part)) for place, part in enumerate(parts)
    ]
    return map("".join, itertools.product(*choices))


def write_header(file: Path, tensors: dict[str, tuple[str, tuple[int, ...]]]) -> None:
    """A safetensors file whose numbers are all zero, and take no space on a disk."""
    entries = {}
    offset = 0
    for name, (kind, shape) in tensors.items():
        length = SIZES[kind] * math.prod(shape)
        entries[name] = {"dtype": kind, "shape": shape, "data_offsets": [offset, offset + length]}
        offset += length
    head = json.dumps(entries).encode()
    head += b" " * (-len(head) % 8)
    with open(file, "wb") as out:
        out.write(struct.pack("<Q", len(head)) + head)
        out.truncate(8 + len(head) + offset)


def _numbers(text: str) -> Iterator[str]:
    for part in text.split(","):
        first, _, last = part.partition("..")
        yield from map(str, range(int(first), int(last or first) + 1))
