"""A question to a judge, and how its answer is read: one JSON object, or nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Value = float | str

READ = 16_000  # characters at an answer's end that are searched

ANSWER = (
    "Think about it first, in at most five sentences. Then end your answer with one JSON object on "
    'a line of its own, and nothing after it: {{"reason": "one sentence", {members}}}'
)


@dataclass(frozen=True)
class Score:
    """A number from `low` to `high`, without fractions if `whole`."""

    low: float
    high: float
    whole: bool = True

    def parse(self, value: Any) -> float | None:
        """The number; None for anything else, as a judge's answer is never guessed."""
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            return None
        try:
            number = float(value)
        except ValueError:
            return None
        if not math.isfinite(number) or not self.low <= number <= self.high:
            return None
        return None if self.whole and not number.is_integer() else number

    def describe(self) -> str:
        kind = "whole number" if self.whole else "number"
        return f"<{kind} from {self.low:g} to {self.high:g}>"


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    options: tuple[str, ...]

    def parse(self, value: Any) -> str | None:
        word = value.strip().lower() if isinstance(value, str) else None
        return word if word in self.options else None

    def describe(self) -> str:
        return f"<{' or '.join(self.options)}>"


@dataclass(frozen=True)
class Picture:
    """A picture with the words before it. It is scaled to the size of `like`, if that is set."""

    label: str
    path: Path
    like: Path | None = None


@dataclass(frozen=True)
class Question:
    """`name` is unique for an item, `members` are what the answer's JSON object must have."""

    name: str
    text: str
    pictures: tuple[Picture, ...]
    members: Mapping[str, Score | Choice]

    def prompt(self) -> str:
        """The question with the form of its answer."""
        members = ", ".join(f'"{name}": {kind.describe()}' for name, kind in self.members.items())
        return f"{self.text}\n\n{ANSWER.format(members=members)}"

    def read(self, answer: str) -> dict[str, Value] | None:
        """The values in an answer: those of its last JSON object that has them all. None if there
        is no such object, or a value is not allowed."""
        for content in _objects(answer[-READ:]):
            if self.members.keys() <= content.keys():
                values = {name: kind.parse(content[name]) for name, kind in self.members.items()}
                known = {name: value for name, value in values.items() if value is not None}
                return known if len(known) == len(values) else None
        return None


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in a text, the last first."""
    decoder = json.JSONDecoder()
    start = text.rfind("{")
    while start >= 0:
        try:
            content, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            content = None
        if isinstance(content, dict):
            yield content
        start = text.rfind("{", 0, start)
