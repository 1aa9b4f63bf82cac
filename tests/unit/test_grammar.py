"""The sentences of the training data."""

from __future__ import annotations

import random
import re

import pytest

from grammar_kinds import KINDS
from retouch.families.instructx.picture_parts import WHOLE
from training.grammar import sentence
from training.grammar.amounts import amount_of, draw_percent
from training.grammar.errors import GrammarError
from training.grammar.forms import LANGUAGES, forms
from training.grammar.lexicon import lexicon
from training.grammar.operations import draw_operation, draw_pair
from training.grammar.pattern import Pattern
from training.grammar.sentences import correct_sentence
from training.grammar.typos import misspell
from training.operation import Item, Operation
from training.vocabulary import (
    AMOUNTS,
    GRADED,
    NONE,
    OBJECT_OPS,
    PHOTO_OPS,
    WHERES,
)

RED = Item("circle", (0.1, 0.1, 0.3, 0.3), "red", "small")
BLUE = Item("circle", (0.6, 0.6, 0.8, 0.8), "blue", "large")
STAR = Item("star", (0.1, 0.6, 0.3, 0.8), "blue", "medium")
CAT = Item("cat", (0.6, 0.1, 0.9, 0.4))
DOG = Item("dog", (0.4, 0.4, 0.6, 0.6))
GREEN = Item("circle", RED.box, "green", "small")
ITEMS = (RED, BLUE, STAR, CAT)


def texts(operation, count=300, items=ITEMS):
    """Sentences without typos."""
    rng = random.Random(1)
    return [
        correct_sentence(rng, [operation], items, "en", False, KINDS).lower() for _ in range(count)
    ]


def plain(operation, language="en"):
    return sentence(random.Random(0), [operation], ITEMS, language, plain=True, kinds=KINDS)


@pytest.mark.parametrize(
    "operation, text",
    [
        (Operation("warmer"), "make it warmer"),
        (Operation("brighter", amount="slight"), "make it a bit brighter"),
        (Operation("blur", where="left half"), "blur the left half"),
        (Operation("grey"), "make it black and white"),
        (
            Operation("grey", where="other colours", where_colour="red"),
            "everything but the red in gray",
        ),
        (
            Operation("recolour", colour="blue", where="colour parts", where_colour="red"),
            "make the red parts blue",
        ),
        (Operation("remove", target=CAT), "remove the cat"),
        (Operation("remove", target=RED), "remove the red circle"),
        (
            Operation("add", result=Item("apple", WHOLE), place="bottom left"),
            "add an apple in the bottom left",
        ),
        (Operation("replace", target=CAT, result=Item("dog", WHOLE)), "replace the cat with a dog"),
        (
            Operation("resize", target=STAR, result=Item("star", STAR.box, "blue", "large")),
            "make the star bigger",
        ),
        (Operation("tint", colour="orange", amount="strong"), "give it a strong orange tint"),
        (Operation("nothing"), "leave it as it is"),
    ],
)
def test_plain_wording_is_the_usual_one(operation, text):
    assert plain(operation) == text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("plain", [True, False])
def test_every_operation_has_a_sentence_in_every_language(language, plain):
    rng = random.Random(0)
    for op in PHOTO_OPS:
        for amount in (NONE, *AMOUNTS) if op in GRADED else (NONE,):
            for where in (NONE, *WHERES):
                if where != NONE and op in ("vignette", "dusk"):
                    continue
                hue = "red" if "colour" in where else NONE
                colour = "blue" if op == "tint" else NONE
                operation = Operation(
                    op, colour=colour, amount=amount, where=where, where_colour=hue
                )
                assert sentence(rng, [operation], ITEMS, language, plain, KINDS)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("plain", [True, False])
def test_every_edit_of_an_object_has_a_sentence_in_every_language(language, plain):
    rng = random.Random(0)
    for _ in range(100):
        for op in (*OBJECT_OPS, "background", "parts"):
            one = draw_operation(rng, KINDS, op)
            text = sentence(rng, one.operations, (), language, plain, KINDS, exact=True)
            assert not re.search(r"[{}|()@]|  |none", text), text


@pytest.mark.parametrize(
    "language, operation, text",
    [
        ("de", Operation("remove", target=DOG), "entferne den Hund"),
        ("de", Operation("recolour", target=RED, result=GREEN), "mach den roten Kreis grün"),
        (
            "de",
            Operation("replace", target=CAT, result=Item("dog", WHOLE)),
            "ersetze die Katze durch einen Hund",
        ),
        ("de", Operation("warmer", amount="slight"), "mach es etwas wärmer"),
        ("fr", Operation("recolour", target=STAR, result=GREEN), "rends l'étoile verte"),
        (
            "fr",
            Operation("brighter", where="dark parts", amount="slight"),
            "éclaircis les parties sombres un peu",
        ),
        (
            "fr",
            Operation("sharpen", where="left half"),
            "rends la moitié gauche plus nette",
        ),
        ("es", Operation("recolour", target=STAR, result=RED), "haz la estrella roja"),
        ("es", Operation("darker"), "haz la imagen más oscura"),
        ("es", Operation("cooler", where="edges"), "haz los bordes más fríos"),
        ("zh", Operation("remove", target=CAT), "去掉猫"),
        ("zh", Operation("brighter", where="left half"), "把左半部分调亮"),
    ],
)
def test_other_languages_agree(language, operation, text):
    items = (*ITEMS, DOG)
    assert sentence(random.Random(0), [operation], items, language, True, KINDS) == text


def test_sentences_vary():
    assert len(set(texts(Operation("brighter")))) > 150
    assert len(set(texts(Operation("remove", target=CAT)))) > 100


@pytest.mark.parametrize(
    "target, names",
    [
        (RED, "(red|small|tiny|little) (circle|disc|round shape)|red (shape|one|object|figure)"),
        (BLUE, "(blue|large|big) (circle|disc|round shape)"),
        (STAR, "star"),
        (CAT, "cat|kitten"),
    ],
)
def test_a_reference_fits_one_item_alone(target, names):
    for text in texts(Operation("remove", target=target)):
        assert re.search(rf"\b({names})\b", text), text


def test_items_that_differ_in_nothing_are_named_by_their_side():
    left = Item("cat", (0.1, 0.4, 0.3, 0.6))
    right = Item("cat", (0.7, 0.4, 0.9, 0.6))
    operation = Operation("remove", target=right)
    text = sentence(random.Random(0), [operation], (left, right), plain=True, kinds=KINDS)
    assert text == "remove the cat on the right"


def test_items_in_one_place_have_no_reference():
    twins = (CAT, Item("cat", CAT.box))
    with pytest.raises(GrammarError, match="cat"):
        sentence(random.Random(0), [Operation("remove", target=CAT)], twins, kinds=KINDS)


def test_an_absent_target_is_named_by_what_no_item_has():
    absent = Operation("remove", target=Item("star", WHOLE, "green", "small"), present=False)
    for text in texts(absent):
        assert "green" in text or re.search(r"small|tiny|little", text), text


def test_a_target_must_be_in_the_picture():
    with pytest.raises(GrammarError):
        sentence(random.Random(0), [Operation("remove", target=CAT)], (RED,), kinds=KINDS)


@pytest.mark.parametrize(
    "percent, amount",
    [(1, "slight"), (25, "slight"), (26, NONE), (60, NONE), (61, "strong"), (200, "strong")],
)
def test_percents_stand_for_amounts(percent, amount):
    assert amount_of(percent) == amount


@pytest.mark.parametrize("amount", [NONE, *AMOUNTS])
def test_percents_in_sentences_have_the_operations_amount(amount):
    rng = random.Random(0)
    assert all(amount_of(draw_percent(rng, amount)) == amount for _ in range(500))
    numbers = [
        int(number)
        for text in texts(Operation("brighter", amount=amount), 1500)
        for number in re.findall(r"(\d+) ?(?:%|per)", text)
    ]
    assert numbers
    assert all(amount_of(number) == amount for number in numbers)


def test_typos_make_no_other_word_of_the_vocabulary():
    rng = random.Random(0)
    vocabulary = lexicon(KINDS)
    text = "make the left half of the picture warmer and remove the small yellow circle"
    for _ in range(500):
        wrong = misspell(rng, text, KINDS)
        pairs = [pair for pair in zip(text.split(), wrong.split()) if pair[0] != pair[1]]
        assert len(wrong.split()) == len(text.split())
        assert 1 <= len(pairs) <= 2
        for right, typo in pairs:
            assert len(right) >= 4
            assert typo not in vocabulary


def test_articles_fit_the_next_sound():
    rng = random.Random(0)
    operation = Operation("add", result=Item("apple", WHOLE), place="left")
    for _ in range(300):
        text = sentence(rng, [operation], (), kinds=KINDS).lower()
        assert not re.search(r"\ba apple|\ban (big|large|small)", text), text


def test_pairs_join_both_operations():
    rng = random.Random(0)
    for _ in range(200):
        pair = draw_pair(rng, KINDS)
        assert pair.operations[0].op != pair.operations[1].op
        assert sentence(rng, pair.operations, (), kinds=KINDS, exact=True)
    with pytest.raises(GrammarError, match="one or two"):
        sentence(rng, [], (), kinds=KINDS)


def test_patterns_know_their_slots():
    pattern = Pattern("make {it} (a bit|{more}) warmer(|{in})")
    assert pattern.slots == {"it", "more", "in"}
    assert pattern.sure == {"it"}
    assert pattern.expand(random.Random(0), str, plain=True) == "make it a bit warmer"
    with pytest.raises(GrammarError):
        Pattern("make (it")


def test_an_unknown_language_is_an_error():
    with pytest.raises(GrammarError, match="choose one of"):
        forms("tlh")


def test_operations_without_a_form_are_errors():
    with pytest.raises(GrammarError, match="sepia"):
        sentence(random.Random(0), [Operation("sepia", amount="strong")], (), kinds=KINDS)


def test_drawn_operations_say_what_the_sentence_says():
    rng = random.Random(0)
    for _ in range(300):
        one = draw_operation(rng, KINDS, "remove")
        text = sentence(rng, one.operations, (), plain=True, kinds=KINDS, exact=True)
        target = one.operations[0].target
        assert (target.colour in text) == (target.colour != NONE)
