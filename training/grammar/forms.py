"""The forms of one language: a text file of sections with a pattern a line.

`[name]` opens a section, `#` a comment. The first line of a section is the usual one. A mark in
front says what a line is: none for an imperative, `=` for a fragment, `~` for a statement, `^` for
an infinitive; of a noun phrase `+` says that it is plural, `>` that it is feminine. The slots that
say an amount or a place are in AMOUNT_SLOTS and WHERE_SLOTS; a line that must say one has such a
slot in every expansion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from training.grammar.errors import GrammarError
from training.grammar.pattern import Pattern

FOLDER = Path(__file__).parent / "forms"
LANGUAGES = ("en", "de", "fr", "es", "zh")
MARKS = "=~^+>"
IMPERATIVE = ""
FRAGMENT = "="
STATEMENT = "~"
PLURAL = "+"
FEMININE = ">"
AMOUNT_SLOTS = frozenset(
    {
        *("more", "much", "slightly", "subtle", "too", "pct", "more_of"),
        *("subtle_en", "subtle_e", "subtle_m", "subtle_f"),
    }
)
WHERE_SLOTS = frozenset(
    {
        *("it", "them", "in", "it_is", "it_looks", "it_needs", "it_has", "it_isnt", "it_shall"),
        *("it_lacks", "it_uses"),
    }
)
# slots whose text is a section of the operation, as [comp brighter]
TERM_SLOTS = frozenset(
    {"comp", "verb", "infinitive", "plus", "minus", "the_plus", "the_minus", "bad", "good"}
)


@dataclass(frozen=True)
class Line:
    """One pattern of a section and its mark."""

    mark: str
    pattern: Pattern


class Forms:
    """The sections of one language."""

    def __init__(self, text: str):
        self.sections: dict[str, list[Line]] = {}
        for name, line in _lines(text):
            self.sections.setdefault(name, []).append(line)
        self._chosen: dict[tuple, list[Line]] = {}

    def lines(self, name: str) -> list[Line]:
        """Lines of a section; GrammarError if the language has no such section."""
        if name not in self.sections:
            raise GrammarError(f"the grammar has no section [{name}]")
        return self.sections[name]

    def clauses(self, op: str, detail: str, where: str, graded: bool) -> list[Line]:
        """Lines that can say the operation.

        `detail` is a second word of the section's name, such as a size. `graded` asks for a slot of
        the amount."""
        key = (op, detail, where, graded)
        if key not in self._chosen:
            lines = [
                line
                for line in self._candidates(op, detail, where)
                if not graded or line.pattern.sure & AMOUNT_SLOTS
            ]
            if not lines:
                raise GrammarError(f"the grammar cannot say {op} {detail} {where}".rstrip())
            self._chosen[key] = lines
        return self._chosen[key]

    def _candidates(self, op: str, detail: str, where: str) -> Iterator[Line]:
        """Lines of the operation's sections, with the place where it is asked for."""
        special = self.sections.get(f"{op} {where}", []) if where else []
        general = self.sections.get(f"{op} {detail}" if detail else op, [])
        yield from special
        for line in [*general, *self._any(op)]:
            if not where or line.pattern.sure & WHERE_SLOTS:
                yield line

    def _any(self, op: str) -> list[Line]:
        terms = {term for term in TERM_SLOTS if f"{term} {op}" in self.sections}
        return [
            line
            for line in self.sections.get("any", [])
            if terms and line.pattern.slots & TERM_SLOTS <= terms
        ]


@lru_cache
def forms(language: str) -> Forms:
    """The forms of a language; GrammarError for a language that has none."""
    if language not in LANGUAGES:
        raise GrammarError(f"no grammar for {language!r}; choose one of {', '.join(LANGUAGES)}")
    return Forms((FOLDER / f"{language}.txt").read_text(encoding="utf-8"))


def _lines(text: str) -> Iterator[tuple[str, Line]]:
    name = ""
    for row in text.splitlines():
        row = row.strip()
        if row.startswith("[") and row.endswith("]"):
            name = row[1:-1]
        elif row and not row.startswith("#"):
            mark, _, rest = row.partition(" ")
            if rest and set(mark) <= set(MARKS):
                yield name, Line(mark, Pattern(rest.strip()))
            else:
                yield name, Line(IMPERATIVE, Pattern(row))
