"""Instructions of one or two operations."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from training.grammar.clause import Clause
from training.grammar.errors import GrammarError
from training.grammar.forms import FRAGMENT, IMPERATIVE, forms
from training.grammar.languages import PHRASES
from training.grammar.nouns import Kinds, NounPhrases
from training.grammar.pattern import Pattern
from training.grammar.typos import misspell
from training.operation import Item, Operation
from training.stamps import load_kinds

MISSPELT = 0.15  # share of the sentences
FRAGMENTS = 0.1  # share of the pairs of operations that are two fragments
LIMIT = 2  # operations of a sentence


def sentence(
    rng: Random,
    operations: Sequence[Operation],
    items: Sequence[Item],
    language: str = "en",
    plain: bool = False,
    kinds: Kinds | None = None,
    exact: bool = False,
) -> str:
    """An instruction for one or two operations on a picture with these items.

    Every reference fits one item alone. `plain` takes the most usual wording, without typos.
    `kinds` are those of training/kinds.json unless named. `exact` says all that is known of the
    targets, for sentences without a picture. Raises GrammarError where the language has no form for
    an operation."""
    kinds = load_kinds() if kinds is None else kinds
    text = correct_sentence(rng, operations, items, language, plain, kinds, exact)
    if not plain and rng.random() < MISSPELT:
        return misspell(rng, text, kinds)
    return text


def correct_sentence(
    rng: Random,
    operations: Sequence[Operation],
    items: Sequence[Item],
    language: str,
    plain: bool,
    kinds: Kinds,
    exact: bool = False,
) -> str:
    """The same without typos."""
    if not 1 <= len(operations) <= LIMIT:
        raise GrammarError(f"a sentence has one or two operations, not {len(operations)}")
    phrases = PHRASES[language](rng, forms(language), kinds, plain)
    if len(operations) == 1:
        mark, text = Clause(phrases, operations[0], items, exact=exact).write()
        text = frame(phrases, text, mark)
    else:
        text = _pair(phrases, operations, items, exact)
    text = phrases.finish(text)
    return text if plain else _written(rng, text)


def frame(phrases: NounPhrases, text: str, mark: str = IMPERATIVE) -> str:
    """A clause with the politeness and punctuation that its mark allows."""
    pattern = phrases.line(phrases.forms.lines(f"frame {mark}".strip())).pattern
    return _filled(phrases, pattern, clause=text)


def join(phrases: NounPhrases, first: str, second: str) -> str:
    """Two clauses as one."""
    pattern = phrases.line(phrases.forms.lines("join")).pattern
    return _filled(phrases, pattern, first=first, second=second)


def _pair(
    phrases: NounPhrases, operations: Sequence[Operation], items: Sequence[Item], exact: bool
) -> str:
    mark = IMPERATIVE
    if not phrases.plain and phrases.rng.random() < FRAGMENTS:
        mark = FRAGMENT
    pronouns = all(operation.target is operation.result is None for operation in operations)
    clauses = [
        Clause(phrases, operation, items, pronouns, exact).write(mark) for operation in operations
    ]
    marks = {own for own, _ in clauses}
    text = join(phrases, *(text for _, text in clauses))
    return frame(phrases, text, marks.pop() if len(marks) == 1 else "~")


def _filled(phrases: NounPhrases, pattern: Pattern, **texts: str) -> str:
    return pattern.expand(phrases.rng, texts.__getitem__, phrases.plain)


def _written(rng: Random, text: str) -> str:
    """A sentence in small letters, with a capital in front, or in capitals."""
    draw = rng.random()
    if draw < 0.3:
        return text[0].upper() + text[1:]
    return text.upper() if draw < 0.32 else text
