"""Sentences that miss the grammar by one key word, and pairs with one clause outside of it."""

from __future__ import annotations

import re
from dataclasses import replace
from random import Random

from training.grammar.choices import pick
from training.grammar.nouns import Kinds
from training.grammar.operations import Drawn, draw_operation
from training.grammar.sentences import correct_sentence
from training.grammar.word_lists import foreign_nouns, outside_nouns, outside_parts, outside_terms
from training.operation import Item

# words that a sentence of an operation hangs on, and what takes their place
_COMPARATIVES = (
    "brighter|lighter|darker|dimmer|warmer|cooler|colder|punchier|contrastier|flatter|paler|duller"
    "|blurrier|softer|sharper|crisper|blockier|saturated|colourful|vivid|vibrant|muted|faded"
    "|pixelated|blurry|blurred|sepia|greyscale|monochrome|bigger|larger|smaller|contrasty"
)
_PROPERTIES = (
    "brightness|exposure|luminosity|lightness|darkness|contrast|warmth|saturation|vibrance|blur"
    "|blurriness|sharpness|crispness|pixelation|vignette|sharpening"
)
_VERBS = (
    "brighten|lighten|darken|dim|warm|cool|saturate|desaturate|mute|blur|soften|sharpen|pixelate"
    "|pixelise|invert|posterise|vignette|fade|remove|delete|erase|eliminate|replace|swap|substitute"
    "|recolour|paint|dye|enlarge|shrink|resize|drag|shift|reposition|tint|flatten"
)
_WHERES = (
    "left half|right half|top half|bottom half|left side|right side|left part|right part"
    "|(?:top|bottom|upper|lower) (?:left|right)(?: corner)?|centre|middle|edges|borders|shadows"
    "|highlights|dark parts|bright parts|dark areas|bright areas"
)
_KEYS = tuple(
    (re.compile(rf"\b(?:{pattern})\b"), section)
    for pattern, section in (
        (_COMPARATIVES, "adjective"),
        (_PROPERTIES, "property"),
        (_VERBS, "verb"),
        (_WHERES, "part"),
    )
)
_OBJECTS = ("recolour", "remove", "replace", "add", "move", "resize")
_UNKNOWN_CLAUSES = (
    "give {pronoun} a {noun}",
    "make {pronoun} {verb}",
    "add a {noun} on the {part}",
    "rotate it",
    "crop it",
    "make it {adjective}",
    "change the {part}",
    "remove the {noun}",
    "turn it into a {style}",
    "put the {noun} in the {where}",
    "zoom in",
    "upscale it",
    "translate it to {language}",
    "make the {part} {adjective}",
    "replace the {noun} by a {noun}",
    "change the season to {season}",
    "tell me what it is",
    "write my name on it",
    "add {weather}",
    "paint the {noun} {colour}",
    "make the {noun} {colour}",
    "swap the faces",
    "flip it",
    "increase the {property}",
    "let {pronoun} {verb}",
)
_JOINS = {
    "en": (
        "{} and {}",
        "{}, then {}",
        "{} and then {}",
        "{}, and {}",
        "first {}, then {}",
        "{}. {}",
        "{} and also {}",
        "{}, {}",
        "{} but {}",
        "{} so that i can {}",
    ),
    "de": ("{} und {}", "{}, dann {}", "{}. {}", "erst {}, dann {}", "{} und danach {}"),
    "fr": ("{} et {}", "{}, puis {}", "{}. {}", "d'abord {}, puis {}", "{} et ensuite {}"),
    "es": ("{} y {}", "{}, luego {}", "{}. {}", "primero {}, luego {}", "{} y después {}"),
    "zh": ("{}，{}", "{}，然后{}", "先{}，再{}", "{}并{}"),
}


def near_miss(rng: Random, kinds: Kinds, language: str = "en") -> str:
    """A sentence of the grammar with one key word from outside the vocabulary.

    In other languages than English that word is a noun or a colour."""
    while True:
        if language != "en" or rng.random() < 0.4:
            return _foreign_object(rng, kinds, language)
        text = _foreign_key(rng, kinds)
        if text:
            return text


def mixture(rng: Random, kinds: Kinds, unknown: str = "", language: str = "en") -> str:
    """One clause that the grammar can say and one that it cannot, in either order.

    `unknown` is the clause that it cannot say; without it an English one is drawn."""
    plain = rng.random() < 0.5
    known = _written(rng, draw_operation(rng, kinds), kinds, language, plain)
    unknown = unknown or unknown_clause(rng, kinds)
    clauses = (known, unknown) if rng.random() < 0.6 else (unknown, known)
    return pick(rng, _JOINS[language]).format(*clauses)


def unknown_clause(rng: Random, kinds: Kinds) -> str:
    """A short imperative clause outside the grammar."""
    slots = {
        section: pick(rng, outside_terms(section))
        for section in (
            "verb",
            "adjective",
            "style",
            "where",
            "language",
            "season",
            "weather",
            "colour",
            "property",
        )
    }
    slots["part"] = pick(rng, outside_parts(kinds))
    slots["noun"] = pick(rng, outside_nouns(kinds))
    slots["pronoun"] = pick(rng, ("her", "him", "it", "them", "me"))
    return pick(rng, _UNKNOWN_CLAUSES).format(**slots)


def _foreign_key(rng: Random, kinds: Kinds) -> str:
    """A sentence of any operation whose key word is replaced; "" if it has none."""
    text = _written(rng, draw_operation(rng, kinds), kinds).lower()
    keys = [(match, section) for key, section in _KEYS if (match := key.search(text))]
    if not keys:
        return ""
    match, section = pick(rng, keys)
    terms = outside_parts(kinds) if section == "part" else outside_terms(section)
    return text[: match.start()] + pick(rng, terms) + text[match.end() :]


def _foreign_object(rng: Random, kinds: Kinds, language: str) -> str:
    """A sentence about a noun or colour from outside the vocabulary."""
    english = language == "en"
    drawn = draw_operation(rng, kinds, pick(rng, (*_OBJECTS, "tint", "parts", "background")))
    operation = drawn.operations[0]
    colour = pick(rng, outside_terms("colour" if english else f"{language} colour"))
    noun = pick(rng, outside_nouns(kinds) if english else foreign_nouns(kinds)[language])
    result = operation.result
    target = operation.target
    if operation.op == "background" or (operation.op == "tint" and rng.random() < 0.5):
        operation = replace(operation, colour=colour)
    elif operation.where == "colour parts":
        field = pick(rng, ("colour", "where_colour"))
        operation = replace(operation, **{field: colour})
    elif operation.op == "recolour" and result is not None and rng.random() < 0.5:
        operation = replace(operation, result=replace(result, colour=colour))
    elif target is not None and (operation.op != "replace" or rng.random() < 0.4):
        operation = replace(operation, target=_foreign(rng, target, noun, colour))
    elif result is not None:
        operation = replace(operation, result=_foreign(rng, result, noun, colour))
    else:
        operation = replace(operation, colour=colour)
    return _written(rng, Drawn((operation,), drawn.items), kinds, language)


def _foreign(rng: Random, item: Item, noun: str, colour: str) -> Item:
    """The item with a kind or, in a third of the draws, a colour from outside."""
    if rng.random() < 0.35:
        return replace(item, colour=colour)
    return replace(item, kind=noun)


def _written(
    rng: Random, drawn: Drawn, kinds: Kinds, language: str = "en", plain: bool = False
) -> str:
    return correct_sentence(rng, drawn.operations, drawn.items, language, plain, kinds, exact=True)
