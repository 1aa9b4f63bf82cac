"""Typing errors."""

from __future__ import annotations

import re
from random import Random

from training.grammar.lexicon import lexicon
from training.grammar.nouns import Kinds

SHORTEST = 4  # letters of a word that can be misspelt
SECOND = 0.2  # share of the misspelt sentences with two errors
_WORD = re.compile(rf"[^\W\d_]{{{SHORTEST},}}")
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {
    letter: "".join(
        other
        for near, line in enumerate(_ROWS)
        for place, other in enumerate(line)
        if abs(near - row) <= 1 and abs(place - column) <= 1 and other != letter
    )
    for row, letters in enumerate(_ROWS)
    for column, letter in enumerate(letters)
}


def misspell(rng: Random, text: str, kinds: Kinds) -> str:
    """The text with one or two typing errors, at most one in a word.

    No error makes a word of the vocabulary. A text without a word of four Latin letters stays."""
    spans = [match.span() for match in _WORD.finditer(text) if match.group().isascii()]
    count = min(len(spans), 2 if rng.random() < SECOND else 1)
    vocabulary = lexicon(kinds)
    for start, end in sorted(rng.sample(spans, count), reverse=True):
        text = text[:start] + _misspelt(rng, text[start:end], vocabulary) + text[end:]
    return text


def _misspelt(rng: Random, word: str, vocabulary: frozenset[str]) -> str:
    """A word with one error; the word itself if five draws make words of the vocabulary."""
    for _ in range(5):
        wrong = _ERRORS[int(rng.random() * len(_ERRORS))](rng, word)
        if wrong.lower() not in vocabulary and wrong != word:
            return wrong
    return word


def _swap(rng: Random, word: str) -> str:
    place = rng.randrange(len(word) - 1)
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def _drop(rng: Random, word: str) -> str:
    place = rng.randrange(1, len(word))
    return word[:place] + word[place + 1 :]


def _double(rng: Random, word: str) -> str:
    place = rng.randrange(len(word))
    return word[: place + 1] + word[place:]


def _neighbour(rng: Random, word: str) -> str:
    """A key beside the right one."""
    place = rng.randrange(len(word))
    letter = word[place]
    near = _NEIGHBOURS.get(letter.lower(), letter)
    wrong = near[int(rng.random() * len(near))]
    return word[:place] + (wrong.upper() if letter.isupper() else wrong) + word[place + 1 :]


_ERRORS = (_swap, _drop, _double, _neighbour)
