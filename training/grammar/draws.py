"""Random labelled sentences without a picture, for training the parser on text alone."""

from __future__ import annotations

from random import Random

from training.grammar.languages import PHRASES
from training.grammar.nouns import Kinds
from training.grammar.operations import draw_operation, draw_pair
from training.grammar.sentences import sentence
from training.grammar.unknown import draw_unknown
from training.operation import Operation

NOTHING = Operation("nothing")
UNKNOWN = Operation("unknown")
# shares of one operation, of two, and of sentences that the editor cannot do; the rest is "nothing"
ONE = 0.45
TWO = 0.10
OUTSIDE = 0.35
ENGLISH = 0.7  # share of the sentences; the other languages share the rest


def draw_text(rng: Random, kinds: Kinds) -> tuple[str, tuple[Operation, ...]]:
    """A sentence and its operations.

    The target and the result have the attributes that the sentence says, and no others: "the
    circle" has no colour, "the red shape" no kind. Boxes are the whole picture."""
    language = draw_language(rng)
    draw = rng.random()
    if draw < ONE + TWO:
        drawn = draw_operation(rng, kinds) if draw < ONE else draw_pair(rng, kinds)
        operations = drawn.operations
        return sentence(rng, operations, (), language, kinds=kinds, exact=True), operations
    if draw < ONE + TWO + OUTSIDE:
        return draw_unknown(rng, kinds, language), (UNKNOWN,)
    return sentence(rng, (NOTHING,), (), language, kinds=kinds), (NOTHING,)


def draw_language(rng: Random) -> str:
    """English in most of the draws."""
    others = [language for language in PHRASES if language != "en"]
    if not others or rng.random() < ENGLISH:
        return "en"
    return others[int(rng.random() * len(others))]
