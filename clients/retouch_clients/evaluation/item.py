"""One item of a suite: an edit that every method makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Item:
    """`name` is unique in the suite, `group` the kind of edit by which the suite reports.

    `image` and `references` are files of the edit. `details` are the suite's further columns."""

    name: str
    group: str
    instruction: str
    image: Path
    references: tuple[Path, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
