"""One clause of an instruction: the text of one operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

    def write(self, mark: str | None = None) -> tuple[str, str]:
        """Mark of the line and its text. `mark` is the one to choose if any line has it."""
        lines = self._lines()
        if mark is not None:
            lines = [line for line in lines if line.mark == mark] or lines
        line = self.phrases.line(lines)
        return line.mark, self.phrases.agree(self._expand(line))

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
        return text.strip()

    def fill(self, name: str) -> str:
        """Text of a slot."""
        if name in TERM_SLOTS:
            return self._section(f"{name} {self.operation.op}")
        if name in _FILLS:
            return _FILLS[name](self)
        stem, _, form = name.partition("_")
        if stem in ("colour", "hue"):
            return self.phrases.colour(self._colour_of(stem), form)
        return self._subject(name)

    def _section(self, name: str) -> str:
        return self._expand(self.phrases.line(self.forms.lines(name)))

    # where

    def _noun_phrase(self, section: str) -> tuple[str, str]:
        """Mark and text of a place, or of the picture."""
        where = self.operation.where
        line = self.phrases.line(self.forms.lines(section if where == NONE else f"where {where}"))
        text = self._expand(line)
        self.phrases.mark = line.mark
        return line.mark, text

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
        verb = pick(self.rng, self.phrases.verbs[name][PLURAL in mark], self.plain)
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
        if name not in sections and amount != NONE:
            raise GrammarError(f"the grammar has no section [{name}]")
        return self._section(name) if name in sections else ""

    def _percent(self) -> str:
        return f"{draw_percent(self.rng, self.operation.amount)}{self._percent_sign()}"

    def _percent_sign(self) -> str:
        """The sign, or the word with a space in front."""
        line = self.phrases.line(self.forms.lines("percent sign"))
        return line.pattern.expand(self.rng, self.fill, self.plain)

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

    def _colour_of(self, slot: str) -> str:
        """The new colour for "colour", the colour of the parts for "hue"."""
        operation = self.operation
        if slot == "hue":
            return operation.where_colour
        return operation.result.colour if operation.result else operation.colour

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


def _before_form(form: str) -> Callable[[Clause], str]:
    """Fills the slot of an adjective of amount with an ending or a gender."""
    return lambda clause: clause._before(f"subtle_{form}")


_FILLS: dict[str, Callable[[Clause], str]] = {
    "it": Clause._it,
    "them": Clause._them,
    "in": Clause._in,
    "more": lambda clause: clause._before("more"),
    "slightly": lambda clause: clause._before("slightly"),
    "subtle": lambda clause: clause._before("subtle"),
    **{f"subtle_{form}": _before_form(form) for form in ("en", "e", "m", "f")},
    "too": lambda clause: clause._before("too"),
    "more_of": lambda clause: clause._before("of"),
    "much": Clause._much,
    "pct": Clause._percent,
    "n": lambda clause: str(draw_percent(clause.rng, clause.operation.amount)),
    "sign": Clause._percent_sign,
    "target": lambda clause: clause._target("accusative"),
    "target_nom": lambda clause: clause._target("nominative"),
    "target_dat": lambda clause: clause._target("dative"),
    "of_target": lambda clause: f"de {clause._target('genitive')}",
    "target_bare": lambda clause: clause.phrases.bare(clause.target),
    "result_bare": lambda clause: clause.phrases.bare(exactly(clause._result)),
    "a_kind": lambda clause: clause._new_kind("accusative"),
    "a_kind_nom": lambda clause: clause._new_kind("nominative"),
    "a_kind_dat": lambda clause: clause._new_kind("dative"),
    "a_result": lambda clause: clause._new_item("accusative"),
    "a_result_nom": lambda clause: clause._new_item("nominative"),
    "ish": Clause._ish,
    "at": Clause._at,
    "at2": lambda clause: clause._place("at"),
    "to": lambda clause: clause._place("to"),
}
