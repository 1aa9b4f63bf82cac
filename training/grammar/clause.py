"""One clause of an instruction: the text of one operation."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from training.grammar.amounts import draw_percent
from training.grammar.choices import pick
from training.grammar.errors import GrammarError
from training.grammar.forms import PLURAL, TERM_SLOTS, Forms, Line
from training.grammar.nouns import NounPhrases
from training.grammar.references import Description, describe, exactly
from training.operation import Item, Operation
from training.vocabulary import NONE

# share of the clauses with an amount that say it as a percent, and of those without
PERCENTS = {"slight": 0.12, "strong": 0.12, NONE: 0.05}
_VERBS = {  # singular and plural of what a subject is or does
    "it_is": (("is", "'s"), ("are",)),
    "it_looks": (("looks", "seems", "appears"), ("look", "seem")),
    "it_needs": (("needs",), ("need",)),
    "it_has": (("has",), ("have",)),
    "it_isnt": (("isn't", "is not"), ("aren't", "are not")),
}


class Clause:
    """Fills the slots of one operation's line.

    `pronouns` is false where "it" could be another thing than the picture. `exact` says all that
    is known of the target, for sentences without a picture."""

    def __init__(
        self,
        phrases: NounPhrases,
        operation: Operation,
        items: Sequence[Item],
        pronouns: bool = True,
        exact: bool = False,
    ):
        self.phrases = phrases
        self.rng: Random = phrases.rng
        self.plain = phrases.plain
        self.forms: Forms = phrases.forms
        self.operation = operation
        self.pronouns = pronouns
        self.target = Description()
        if operation.target is not None and not exact:
            absent = not operation.present
            self.target = describe(self.rng, operation.target, items, absent, self.plain)
        elif operation.target is not None:
            self.target = exactly(operation.target)

    def write(self, marks: str | None = None) -> tuple[str, str]:
        """Mark of the line and its text. `marks` are the allowed ones."""
        lines = self._lines()
        if marks is not None:
            lines = [line for line in lines if line.mark in marks] or lines
        line = self.phrases.line(lines)
        return line.mark, self._expand(line)

    def _lines(self) -> list[Line]:
        operation = self.operation
        detail = ""
        if operation.op == "resize" and operation.result:
            detail = operation.result.size
        where = "" if operation.where == NONE else operation.where
        graded = operation.amount != NONE
        return self.forms.clauses(operation.op, detail, where, graded)

    def _expand(self, line: Line) -> str:
        text = line.pattern.expand(self.rng, self.fill, self.plain)
        return text[1:] if text.startswith(" ") else text

    def fill(self, name: str) -> str:
        """Text of a slot."""
        if name in TERM_SLOTS:
            return self._section(f"{name} {self.operation.op}")
        return _FILLS[name](self) if name in _FILLS else self._subject(name)

    def _section(self, name: str) -> str:
        return self._expand(self.phrases.line(self.forms.lines(name)))

    # where

    def _noun_phrase(self, section: str) -> tuple[str, str]:
        """Mark and text of a place, or of the picture."""
        where = self.operation.where
        line = self.phrases.line(self.forms.lines(section if where == NONE else f"where {where}"))
        return line.mark, self._expand(line)

    def _it(self) -> str:
        return self._noun_phrase("picture" if self.pronouns else "picture noun")[1]

    def _them(self) -> str:
        return self._noun_phrase("picture noun")[1]

    def _in(self) -> str:
        where = self.operation.where
        if where == NONE:
            return ""
        return self.phrases.join(self._section(f"in {where}"))

    def _subject(self, name: str) -> str:
        """A subject and its verb: "it is", "the shadows are"."""
        mark, text = self._noun_phrase("picture" if self.pronouns else "picture noun")
        verb = pick(self.rng, _VERBS[name][mark == PLURAL], self.plain)
        return f"{text}{verb}" if verb.startswith("'") else f"{text} {verb}"

    # amount

    def _amount(self, slot: str) -> str:
        """Text of the amount in the words of a slot, or in percent where the slot allows it."""
        amount = self.operation.amount
        sections = self.forms.sections
        percent = f"percent {slot}"
        if percent in sections and not self.plain and self.rng.random() < PERCENTS[amount]:
            return self._section(percent)
        name = f"{slot} {amount}"
        return self._section(name) if name in sections else ""

    def _percent(self) -> str:
        return f"{draw_percent(self.rng, self.operation.amount)}{self._section('percent sign')}"

    def _before(self, slot: str) -> str:
        """The amount with a space behind it, or nothing."""
        text = self._amount(slot)
        return self.phrases.join_before(text) if text else ""

    def _much(self) -> str:
        text = self._amount("much")
        return self.phrases.join(text) if text else ""

    # objects

    def _target(self, case: str) -> str:
        return self.phrases.definite(self.target, case)

    @property
    def _result(self) -> Item:
        """GrammarError for an operation that has no result."""
        if self.operation.result is None:
            raise GrammarError(f"{self.operation.op} needs a result")
        return self.operation.result

    def _new_item(self, case: str) -> str:
        return self.phrases.indefinite(exactly(self._result), case)

    def _new_kind(self, case: str) -> str:
        """The result with its colour and size where they are not the target's."""
        result = self._result
        target = self.operation.target or result
        colour = result.colour if result.colour != target.colour else NONE
        size = result.size if result.size != target.size else NONE
        return self.phrases.indefinite(Description(result.kind, colour, size), case)

    def _colour(self) -> str:
        operation = self.operation
        return self.phrases.colour(
            operation.result.colour if operation.result else operation.colour
        )

    def _ish(self) -> str:
        """ "bluish"; a colour without such a word stays itself."""
        section = f"ish {self.operation.colour}"
        if section in self.forms.sections:
            return self._section(section)
        return self.phrases.colour(self.operation.colour)

    def _place(self, section: str) -> str:
        place = self.operation.place
        return "" if place == NONE else self._section(f"{section} {place}")

    def _at(self) -> str:
        text = self._place("at")
        return self.phrases.join(text) if text else ""


_FILLS = {
    "it": Clause._it,
    "them": Clause._them,
    "in": Clause._in,
    "more": lambda clause: clause._before("more"),
    "slightly": lambda clause: clause._before("slightly"),
    "subtle": lambda clause: clause._before("subtle"),
    "too": lambda clause: clause._before("too"),
    "more_of": lambda clause: clause._before("of"),
    "much": Clause._much,
    "pct": Clause._percent,
    "n": lambda clause: str(draw_percent(clause.rng, clause.operation.amount)),
    "sign": lambda clause: clause._section("percent sign"),
    "target": lambda clause: clause._target("accusative"),
    "target_nom": lambda clause: clause._target("nominative"),
    "target_dat": lambda clause: clause._target("dative"),
    "target_bare": lambda clause: clause.phrases.bare(clause.target),
    "a_kind": lambda clause: clause._new_kind("accusative"),
    "a_kind_nom": lambda clause: clause._new_kind("nominative"),
    "a_kind_dat": lambda clause: clause._new_kind("dative"),
    "a_result": lambda clause: clause._new_item("accusative"),
    "a_result_nom": lambda clause: clause._new_item("nominative"),
    "colour": Clause._colour,
    "hue": lambda clause: clause.phrases.colour(clause.operation.where_colour),
    "ish": Clause._ish,
    "at": Clause._at,
    "at2": lambda clause: clause._place("at"),
    "to": lambda clause: clause._place("to"),
}
