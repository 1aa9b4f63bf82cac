"""The noun phrases of every language, by its code."""

from training.grammar.english import English

PHRASES = {"en": English}
