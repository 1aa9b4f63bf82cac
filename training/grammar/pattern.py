"""A sentence pattern: text with choices `(a|b|)` and slots `{name}`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from training.grammar.errors import GrammarError

Fill = Callable[[str], str]


class Slot:
    """A name that the sentence's writer replaces by text."""

    __slots__ = ("name",)

    def __init__(self, name: str):
        self.name = name


class Choice:
    """Alternatives of equal weight; the first is the usual one."""

    __slots__ = ("options",)

    def __init__(self, options: list[list]):
        self.options = options


class Pattern:
    """`slots` are the names of all slots, `sure` those that no choice leaves out."""

    __slots__ = ("text", "parts", "slots", "sure")

    def __init__(self, text: str):
        self.text = text
        reader = _Reader(text)
        self.parts = reader.sequence()
        if reader.index != len(text):
            raise GrammarError(f"unbalanced parenthesis in the pattern {text!r}")
        self.slots = frozenset(_slots(self.parts))
        self.sure = frozenset(_sure(self.parts))

    def expand(self, rng: Random, fill: Fill, plain: bool = False) -> str:
        """Text of one random expansion. `plain` takes the first option of every choice."""
        return _expand(self.parts, rng.random, fill, plain)


class _Reader:
    """A recursive-descent parser of the pattern's text."""

    def __init__(self, text: str):
        self.text = text
        self.index = 0

    def sequence(self) -> list:
        """Parts up to the end, a bar or a closing parenthesis."""
        parts = []
        start = self.index
        while self.index < len(self.text) and self.text[self.index] not in "|)":
            if self.text[self.index] not in "({":
                self.index += 1
                continue
            if self.index > start:
                parts.append(self.text[start : self.index])
            parts.append(self.choice() if self.text[self.index] == "(" else self.slot())
            start = self.index
        if self.index > start:
            parts.append(self.text[start : self.index])
        return parts

    def choice(self) -> Choice:
        options = []
        while True:
            self.index += 1
            options.append(self.sequence())
            if self.index >= len(self.text):
                raise GrammarError(f"open parenthesis in the pattern {self.text!r}")
            if self.text[self.index] == ")":
                self.index += 1
                return Choice(options)

    def slot(self) -> Slot:
        end = self.text.index("}", self.index)
        name = self.text[self.index + 1 : end]
        self.index = end + 1
        return Slot(name)


def _expand(parts: list, uniform: Callable[[], float], fill: Fill, plain: bool) -> str:
    out = ""
    for part in parts:
        if part.__class__ is str:
            out += part
        elif part.__class__ is Slot:
            out += fill(part.name)
        else:
            options = part.options
            number = 0 if plain else int(uniform() * len(options))
            out += _expand(options[number], uniform, fill, plain)
    return out


def _slots(parts: list) -> Iterator[str]:
    for part in parts:
        if isinstance(part, Slot):
            yield part.name
        elif isinstance(part, Choice):
            for option in part.options:
                yield from _slots(option)


def _sure(parts: list) -> set[str]:
    names = set()
    for part in parts:
        if isinstance(part, Slot):
            names.add(part.name)
        elif isinstance(part, Choice):
            names |= set.intersection(*(_sure(option) for option in part.options))
    return names
