"""The sentences of the training data: what the editor can do, and what it cannot.

The wording is in text files: `forms` has a language each, `lists` what is outside the grammar."""

from training.grammar.draws import draw_language, draw_text
from training.grammar.errors import GrammarError
from training.grammar.operations import draw_operation
from training.grammar.sentences import sentence
from training.grammar.unknown import draw_unknown
from training.stamps import load_kinds

__all__ = [
    "GrammarError",
    "draw_language",
    "draw_operation",
    "draw_text",
    "draw_unknown",
    "load_kinds",
    "sentence",
]
