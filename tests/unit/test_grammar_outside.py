"""Sentences outside the grammar, the mix of the drawn ones, and the held-out ones."""

from __future__ import annotations

import random
import re
from collections import Counter

from grammar_kinds import KINDS
from training.grammar import draw_text, draw_unknown
from training.grammar.amounts import amount_of
from training.grammar.forms import LANGUAGES
from training.grammar.held_out import known_sentences, unknown_sentences
from training.grammar.near_misses import near_miss
from training.grammar.word_lists import all_terms, foreign_nouns, outside_nouns
from training.stamps import load_kinds
from training.vocabulary import (
    AMOUNTS,
    COLOURS,
    GRADED,
    HUES,
    MARKS,
    NONE,
    OPS,
    PLACES,
    SIZES,
    WHERES,
)
from training.vocabulary import KINDS as SHAPES


def drawn(count=1500, seed=0):
    rng = random.Random(seed)
    return [draw_text(rng, KINDS) for _ in range(count)]


def test_draws_have_the_planned_mix():
    counts = Counter(
        "two" if len(operations) == 2 else operations[0].op for _, operations in drawn(4000)
    )
    known = 4000 - counts["two"] - counts["unknown"] - counts["nothing"]
    assert abs(known / 4000 - 0.45) < 0.04
    assert abs(counts["unknown"] / 4000 - 0.35) < 0.04
    assert {op for op in OPS if op not in counts} == set()


def test_drawn_operations_keep_to_the_vocabulary():
    for _, operations in drawn(3000):
        for operation in operations:
            assert operation.op in OPS
            assert operation.amount in (NONE, *AMOUNTS)
            assert operation.where in (NONE, *WHERES)
            assert operation.place in (NONE, *PLACES)
            assert (operation.where_colour in HUES) == ("colour" in operation.where)
            if operation.op == "resize":
                assert operation.result.size in SIZES


def test_near_misses_have_a_word_from_outside():
    rng = random.Random(0)
    outside = {part for term in all_terms() for part in re.findall(r"[\w-]+", term.lower())}
    for _ in range(300):
        text = near_miss(rng, KINDS).lower()
        assert outside & set(re.findall(r"[\w-]+", text)), text


def test_nouns_outside_are_none_of_the_kinds():
    assert "cat" not in outside_nouns(KINDS)
    assert len(all_terms()) > 800
    grown = {**KINDS, "zebra": {"en": ["zebra"]}}
    assert "zebra" in outside_nouns(KINDS)
    assert "zebra" not in outside_nouns(grown)
    assert "das Sofa" in foreign_nouns(KINDS)["de"]
    nouns = {" ".join(kind["de"]) for kind in KINDS.values()}
    assert not nouns & set(foreign_nouns(KINDS)["de"])


def test_unknown_sentences_vary():
    rng = random.Random(0)
    assert len({draw_unknown(rng, KINDS) for _ in range(1000)}) > 900


def test_held_out_sentences_are_well_formed():
    known = known_sentences()
    unknown = unknown_sentences()
    assert len(known) >= 500
    assert len(unknown) == 300
    texts = [row.sentence.strip().lower() for row in known] + [text.lower() for text in unknown]
    assert len(set(texts)) == len(texts)
    assert all(text == text.strip() and text for text in unknown)
    assert {row.language for row in known} == set(LANGUAGES)
    assert {operation.op for row in known for operation in row.operations} == set(OPS) - {"unknown"}


def test_held_out_operations_keep_to_the_vocabulary():
    kinds = {*SHAPES, *MARKS, NONE, *load_kinds()}
    for row in known_sentences():
        assert 1 <= len(row.operations) <= 2
        for operation in row.operations:
            assert operation.amount in (NONE, *AMOUNTS), row
            assert operation.amount == NONE or operation.op in GRADED, row
            assert operation.where in (NONE, *WHERES), row
            assert operation.place in (NONE, *PLACES), row
            assert (operation.where_colour in HUES) == ("colour" in operation.where), row
            for item in (operation.target, operation.result):
                if item is not None:
                    assert item.colour in (NONE, *COLOURS), row
                    assert item.size in (NONE, *SIZES), row
                    assert item.kind in kinds or not load_kinds(), row


def test_held_out_percents_have_their_amount():
    rows = [row for row in known_sentences() if len(row.operations) == 1]
    numbers = [(row, int(number)) for row in rows for number in re.findall(r"\d+", row.sentence)]
    assert len(numbers) > 8
    assert all(amount_of(number) == row.operations[0].amount for row, number in numbers)


def test_held_out_sentences_are_never_drawn(monkeypatch):
    rng = random.Random(0)
    held_out = {text.lower() for text in unknown_sentences()}
    for language in LANGUAGES:
        assert not held_out & {draw_unknown(rng, KINDS, language).lower() for _ in range(600)}
    texts = iter(["What is THIS?", "make it better.", "juggle the bananas"])
    monkeypatch.setattr("training.grammar.unknown._draw_english", lambda rng, kinds: next(texts))
    monkeypatch.setattr("training.grammar.unknown.MISSPELT", 0)
    assert draw_unknown(rng, KINDS) == "juggle the bananas"


def test_a_seed_draws_the_same_sentences():
    assert drawn(200) == drawn(200)


def test_no_slot_and_no_choice_is_left():
    for text, operations in drawn():
        if operations[0].op != "unknown":
            assert not re.search(r"[{}|()\[\]]|  ", text), text
