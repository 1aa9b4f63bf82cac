"""What every language's noun phrases share: the nouns of kinds and the words of sizes."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from training.grammar.choices import pick
from training.grammar.forms import Forms, Line
from training.grammar.references import Description
from training.vocabulary import NONE

Kinds = Mapping[str, Mapping[str, list[str]]]  # of training/kinds.json


class NounPhrases:
    """Noun phrases of one language. Subclasses know articles, cases and the order of adjectives.

    `plain` takes usual words alone. An unknown kind is its own noun."""

    language = ""
    verbs: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}  # singular and plural by slot

    def __init__(self, rng: Random, forms: Forms, kinds: Kinds, plain: bool):
        self.rng = rng
        self.forms = forms
        self.kinds = kinds
        self.plain = plain
        self.mark = ""  # of the last noun phrase: plural, feminine

    def definite(self, description: Description, case: str) -> str:
        """The item as one that the picture shows; `case` is nominative, dative or accusative."""
        raise NotImplementedError

    def indefinite(self, description: Description, case: str) -> str:
        """The item as a new one."""
        raise NotImplementedError

    def bare(self, description: Description) -> str:
        """The item without an article."""
        raise NotImplementedError

    def colour(self, colour: str, form: str = "") -> str:
        """The word of a colour.

        `form` is an ending or a gender in the language's own terms; "" agrees with the last noun
        phrase."""
        return colour

    def agree(self, text: str) -> str:
        """A clause whose adjectives agree with its last noun phrase."""
        return text

    def join(self, text: str) -> str:
        """A phrase that follows others."""
        return f" {text}"

    def join_before(self, text: str) -> str:
        """A phrase that others follow."""
        return f"{text} "

    def finish(self, text: str) -> str:
        """The whole sentence after its phrases were put together."""
        return text

    def term(self, section: str) -> str:
        """A random line of a section without slots."""
        return self.line(self.forms.lines(section)).pattern.expand(self.rng, str, self.plain)

    def line(self, lines: list[Line]) -> Line:
        """A line: the first in 15 % of the draws and always if plain."""
        if self.plain or self.rng.random() < 0.15:
            return lines[0]
        return lines[int(self.rng.random() * len(lines))]

    def size(self, size: str) -> str:
        return self.term(f"size {size}")

    def noun(self, kind: str) -> str:
        """A noun of a kind; of shapes in general for NONE."""
        if kind in self.kinds:
            nouns = self.kinds[kind][self.language]
            return pick(self.rng, nouns, self.plain or self.rng.random() < 0.5)
        section = f"noun {'shape' if kind == NONE else kind}"
        return self.term(section) if section in self.forms.sections else kind
