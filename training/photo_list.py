"""The committed list of photographs: where each comes from, its licence, and its split."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from training.archives import Package

TRAINING = "training"
HELD_OUT = "held out"
SPLITS = (TRAINING, HELD_OUT)
LIST = Path(__file__).with_name("photos.json")
FOLDER = Path(__file__).parents[1] / ".runtime" / "photos"


@dataclass(frozen=True)
class Entry:
    """`path` is inside the package; `source` is the page that the package names, or empty."""

    name: str
    package: str
    path: str
    licence: str
    author: str
    split: str
    source: str = ""

    @property
    def suffix(self) -> str:
        return Path(self.path).suffix

    def original(self, folder: Path = FOLDER) -> Path:
        """The file as the package has it, at its full size."""
        return folder / "originals" / f"{self.name}{self.suffix}"

    def prepared(self, folder: Path = FOLDER) -> Path:
        return folder / "prepared" / f"{self.name}.jpg"


def read_list() -> tuple[list[Package], list[Entry]]:
    content = json.loads(LIST.read_text())
    packages = [Package(**package) for package in content["packages"]]
    entries = [Entry(**entry) for entry in content["photos"]]
    return packages, entries
