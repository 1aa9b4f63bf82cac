"""Sentences that the editor cannot do."""

from __future__ import annotations

from functools import lru_cache
from random import Random

from training.grammar.choices import pick, weighted
from training.grammar.held_out import is_held_out
from training.grammar.kinds import english_nouns
from training.grammar.near_misses import mixture, near_miss
from training.grammar.noise import draw_noise, draw_remark
from training.grammar.nouns import Kinds
from training.grammar.pattern import Pattern
from training.grammar.sentences import MISSPELT
from training.grammar.typos import misspell
from training.grammar.word_lists import outside_nouns, outside_parts, outside_terms, sections
from training.vocabulary import COLOURS

# what is drawn, and how often
_SHARES = (
    (0.37, "near miss"),
    (0.09, "mixture"),
    (0.27, "photo"),
    (0.05, "question"),
    (0.04, "talk"),
    (0.03, "task"),
    (0.015, "code"),
    (0.07, "foreign"),
    (0.045, "noise"),
    (0.03, "remark"),
)
_LITERALS = str.maketrans({"«": "(", "»": ")", "‹": "{", "›": "}"})
_FRAMES = (
    *("{}",) * 8,
    "please {}",
    "{} please",
    "can you {}?",
    "could you {}?",
    "could you please {}",
    "i want you to {}",
    "i'd like you to {}",
    "{}.",
    "{}!",
    "hey, {}",
    "now {}",
    "{} for me",
)


def draw_unknown(rng: Random, kinds: Kinds, language: str = "en") -> str:
    """A random sentence outside the grammar, with typos in some; never a held-out one."""
    while True:
        text = _draw_english(rng, kinds) if language == "en" else _draw_other(rng, kinds, language)
        if rng.random() < MISSPELT:
            text = misspell(rng, text, kinds)
        if not is_held_out(text):
            return text


def _draw_english(rng: Random, kinds: Kinds) -> str:
    """A sentence of any class; some are of languages that have no forms."""
    name = weighted(rng, _SHARES)
    if name == "near miss":
        return near_miss(rng, kinds)
    if name == "mixture":
        unknown = _drawn(rng, kinds, "photo") if rng.random() < 0.6 else ""
        return _case(rng, pick(rng, _FRAMES).replace("{}", mixture(rng, kinds, unknown)))
    if name == "noise":
        return draw_noise(rng, english_nouns(kinds))
    if name == "remark":
        return _case(rng, draw_remark(rng, english_nouns(kinds)))
    if name == "foreign":
        return _case(rng, _outside(rng, kinds, pick(rng, _foreign_sections())))
    text = _drawn(rng, kinds, name)
    if name == "photo":
        text = pick(rng, _FRAMES).replace("{}", text)
    return _case(rng, text)


def _draw_other(rng: Random, kinds: Kinds, language: str) -> str:
    """A sentence outside the grammar in another language than English."""
    draw = rng.random()
    if draw < 0.4:
        return near_miss(rng, kinds, language)
    text = _outside(rng, kinds, f"{language} outside")
    return _case(rng, mixture(rng, kinds, text, language) if draw < 0.5 else text)


@lru_cache
def _patterns(file: str, section: str) -> tuple[Pattern, ...]:
    rows = sections(file)[section]
    return tuple(Pattern(row[2:] if row.startswith("= ") else row) for row in rows)


@lru_cache
def _foreign_sections() -> tuple[str, ...]:
    return tuple(sections("foreign"))


def _drawn(rng: Random, kinds: Kinds, section: str) -> str:
    """A text of unknown.txt."""
    return _articles(_expand(rng, kinds, pick(rng, _patterns("unknown", section))))


def _outside(rng: Random, kinds: Kinds, section: str) -> str:
    return _expand(rng, kinds, pick(rng, _patterns("foreign", section)))


def _expand(rng: Random, kinds: Kinds, pattern: Pattern) -> str:
    def fill(name: str) -> str:
        if name == "noun":
            return pick(rng, outside_nouns(kinds))
        if name == "part":
            return pick(rng, outside_parts(kinds))
        if name == "kind" or (name == "thing" and rng.random() < 0.5):
            return pick(rng, english_nouns(kinds))
        if name == "thing":
            return pick(rng, outside_nouns(kinds))
        if name == "hue":
            return pick(rng, COLOURS)
        if name == "n":
            return str(rng.randint(0, pick(rng, (9, 20, 100, 1000, 5000))))
        return pick(rng, outside_terms(name))

    return pattern.expand(rng, fill).translate(_LITERALS)


def _articles(text: str) -> str:
    for vowel in "aeiou":
        text = text.replace(f" a {vowel}", f" an {vowel}")
    return text


def _case(rng: Random, text: str) -> str:
    draw = rng.random()
    if draw < 0.3:
        return text[:1].upper() + text[1:]
    return text.upper() if draw < 0.32 else text
