"""Sentences that people wrote, for the evaluation alone: `training/sentences`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from retouch.families.instructx.picture_parts import WHOLE
from training.operation import Item, Operation
from training.vocabulary import NONE

FOLDER = Path(__file__).parents[1] / "sentences"


@dataclass(frozen=True)
class Labelled:
    """A sentence, its language and what it asks for. Items have what the sentence says of them."""

    sentence: str
    language: str
    operations: tuple[Operation, ...]


@lru_cache
def known_sentences() -> tuple[Labelled, ...]:
    """Sentences that the editor can do."""
    rows = (FOLDER / "known.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(_labelled(json.loads(row)) for row in rows)


@lru_cache
def unknown_sentences() -> tuple[str, ...]:
    """Sentences that it cannot do."""
    return tuple((FOLDER / "unknown.txt").read_text(encoding="utf-8").splitlines())


def is_held_out(text: str) -> bool:
    """Whether a text is one of `unknown_sentences`, capitals and final signs left aside."""
    return _bare(text) in _bare_unknown()


@lru_cache
def _bare_unknown() -> frozenset[str]:
    return frozenset(map(_bare, unknown_sentences()))


def _bare(text: str) -> str:
    return text.strip().rstrip(".!?").rstrip().lower()


def _labelled(row: dict) -> Labelled:
    operations = tuple(_operation(values) for values in row["operations"])
    return Labelled(row["sentence"], row["language"], operations)


def _operation(values: dict) -> Operation:
    items = {name: _item(values[name]) for name in ("target", "result") if name in values}
    return Operation(**{**values, **items})


def _item(values: dict) -> Item:
    return Item(**{"kind": NONE, "box": WHOLE, **values})
