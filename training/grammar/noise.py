"""Text that asks for nothing: letters, numbers, signs, known words without an operation."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_VOWELS = "aeiou"
_CONSONANTS = "bcdfghjklmnpqrstvwxz"
_SIGNS = "!?.,;:-_+*/\\'\"#@&%$()[]{}<>~^|="
_EMOJI = "😀😂😍😭👍👎🙏🔥🎉🐶🐱🌈🌞🌙🍎🚗🏠💩❤️✨👀🤔😎"
_SYLLABLES = (
    "ka",
    "lo",
    "mi",
    "tu",
    "ra",
    "ne",
    "sho",
    "pli",
    "gra",
    "vex",
    "zor",
    "bem",
    "dul",
    "fi",
)
_OTHER_SCRIPTS = "あいうえおкстмяهدبकखगกขค한글αβγδאבג漢字草木"
# words that name no operation, however they are put together
_SALAD = (
    *("the", "a", "of", "in", "on", "at", "this", "and", "or", "with", "is", "very", "some", "my"),
    *("picture", "photo", "image", "left", "right", "top", "bottom", "corner", "half", "middle"),
    *("circle", "square", "triangle", "star", "diamond", "shape", "part", "parts", "please"),
    *("red", "orange", "yellow", "green", "blue", "purple", "small", "large", "medium", "edges"),
    *("a bit", "much", "slightly", "a lot", "you", "it", "i", "that", "everything", "whole"),
    *("20 %", "bright", "area", "side", "here", "there", "now", "then", "to", "from", "by"),
)
_REFERENCES = (
    "the {colour} {kind}",
    "{colour} {kind}",
    "{kind}",
    "the {kind}",
    "a {colour} {kind}",
    "the {place}",
    "{place}",
    "{colour}",
    "the {kind} and the {other}",
    "{kind} {other}",
    "the {kind} in the {place}",
    "the {kind} is {colour}",
    "a {kind} and a {other}",
    "{kind}?",
    "the {place} of the picture",
    "{colour} parts",
    "my {kind}",
    "two {kind}s",
    "is the {kind} {colour}?",
    "where is the {kind}?",
    "this is a {kind}",
    "i see a {colour} {kind}",
    "the {kind} is in the {place}",
    "the {kind} has a {colour} {other}",
    "my {kind} is {colour}",
    "the {kind} looks like a {other}",
    "{kind} {other} {kind}",
    "{colour} {colour} {colour}",
    "the {colour} {kind}",
    "what a {colour} {kind}",
    "does it have a {kind}?",
    "i like the {kind}",
)
_COLOURS = ("red", "orange", "yellow", "green", "blue", "purple")
_PLACES = ("top left", "left half", "right half", "middle", "bottom", "edges", "top right corner")


def draw_noise(rng: Random, nouns: Sequence[str]) -> str:
    """One text without an instruction. `nouns` are those that the editor knows."""
    return _DRAWS[int(rng.random() * len(_DRAWS))](rng, nouns)


def draw_remark(rng: Random, nouns: Sequence[str]) -> str:
    """A known thing or place, or a remark about it, without an operation."""
    return rng.choice(_REFERENCES).format(
        colour=rng.choice(_COLOURS),
        kind=rng.choice(nouns),
        other=rng.choice(nouns),
        place=rng.choice(_PLACES),
    )


def _letters(rng: Random, nouns) -> str:
    return " ".join(
        "".join(rng.choices(_LETTERS, k=rng.randint(1, 9))) for _ in range(rng.randint(1, 5))
    )


def _pronounceable(rng: Random, nouns) -> str:
    return " ".join(
        "".join(rng.choice(_CONSONANTS) + rng.choice(_VOWELS) for _ in range(rng.randint(1, 4)))
        for _ in range(rng.randint(1, 5))
    )


def _syllables(rng: Random, nouns) -> str:
    return " ".join(
        "".join(rng.choices(_SYLLABLES, k=rng.randint(1, 3))) for _ in range(rng.randint(1, 6))
    )


def _keys(rng: Random, nouns) -> str:
    row = rng.choice(("asdfghjkl", "qwertyuiop", "zxcvbnm", "sdfg", "hjkl", "jfkdls"))
    return "".join(rng.choices(row, k=rng.randint(2, 14)))


def _repeated(rng: Random, nouns) -> str:
    return rng.choice(_LETTERS + _SIGNS + "0123456789") * rng.randint(1, 12)


def _numbers(rng: Random, nouns) -> str:
    return rng.choice((" ", ", ", "-", ".", "")).join(
        str(rng.randint(0, 10 ** rng.randint(1, 6))) for _ in range(rng.randint(1, 4))
    ) + rng.choice(("", "", " %", " px", " euros", "°"))


def _signs(rng: Random, nouns) -> str:
    return "".join(rng.choices(_SIGNS, k=rng.randint(1, 8)))


def _emoji(rng: Random, nouns) -> str:
    return "".join(rng.choices(_EMOJI, k=rng.randint(1, 5)))


def _blank(rng: Random, nouns) -> str:
    return rng.choice(
        (" ", "  ", ".", "...", "-", "?", "\n", "\t", "''", '""', "_", "…", "a", "…?")
    )


def _scripts(rng: Random, nouns) -> str:
    return "".join(rng.choices(_OTHER_SCRIPTS + " ", k=rng.randint(2, 12)))


def _salad(rng: Random, nouns) -> str:
    chosen = rng.choices((*_SALAD, *rng.sample(nouns, 3)), k=rng.randint(2, 9))
    return " ".join(chosen)


_DRAWS = (
    _letters,
    _pronounceable,
    _syllables,
    _keys,
    _repeated,
    _numbers,
    _numbers,
    _signs,
    _emoji,
    _blank,
    _scripts,
    _salad,
    _salad,
    _salad,
)
