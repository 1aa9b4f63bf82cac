"""How the parser's readings of sentences that people wrote become figures and tables."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from retouch.artifacts.manifest import ArtifactError, Manifest, publish
from training import scope, understanding
from training.example import Example
from training.operation import Operation
from training.understanding import Understood
from training.understanding_table import understanding_tables
from training_pictures import use_samples

UNKNOWN = (Operation("unknown"),)
PICTURE = np.zeros((16, 16, 3), np.uint8)
EXAMPLE = Example("", PICTURE, PICTURE, UNKNOWN, np.zeros((1, 2), np.int64))


class FakeParser:
    """Understands sentences with the word "brighter", and nothing else."""

    def run(self, pixels, sentences):
        (sentence,) = sentences
        understood = "brighter" in sentence
        operations = [Operation("brighter")] if understood else []
        assessment = SimpleNamespace(understood=understood, confidence=0.9 if understood else 0.2)
        return [SimpleNamespace(operations=operations, assessment=assessment)]


def row(known, understood, confidence, right=False, made=True):
    return Understood(EXAMPLE, known, known and made, understood, confidence, right)


@pytest.fixture()
def rows():
    return [
        row(True, True, 0.95, right=True),
        row(True, True, 0.91, right=True),
        row(True, True, 1.0),
        row(True, False, 0.3, right=True),
        row(True, False, 0.9, right=True, made=False),
        row(False, False, 0.1),
        row(False, True, 0.52),
    ]


def publish_parser(repository, settings):
    folder = repository / "vl_parser" / "1"
    staging = repository / "staging"
    for path in (folder, staging):
        path.mkdir(parents=True)
    manifest = Manifest("instructx", "c" * 64, "", "float32", 20, settings=settings)
    publish(staging, folder, manifest)


def test_all_sentences_or_some_of_both_kinds():
    every = understanding.held_out_sentences()
    some = understanding.held_out_sentences(40)
    assert len(every) > 800 and len(some) == 40 and set(some) <= set(every)
    for sentences in (every, some):
        unknown = sum(operations == UNKNOWN for _, operations in sentences)
        assert 0.3 < unknown / len(sentences) < 0.7
    assert understanding.held_out_sentences(10_000) == every


def test_readings_are_compared_with_what_is_asked(monkeypatch):
    use_samples(monkeypatch)
    monkeypatch.setattr(scope, "UNSUPPORTED", ("posterise",))
    sentences = [
        ("brighter pls", (Operation("brighter"),)),
        ("brighter than the sun is my love", UNKNOWN),
        ("darker pls", (Operation("darker"),)),
        ("who are you", UNKNOWN),
        ("posterise it", (Operation("posterise"),)),
    ]
    rows = understanding.read(FakeParser(), iter(sentences))
    assert [(row.known, row.made, row.understood, row.right) for row in rows] == [
        (True, True, True, True),
        (False, False, True, False),
        (True, True, False, False),
        (False, False, False, False),
        (True, False, False, False),
    ]
    assert [row.confidence for row in rows] == [0.9, 0.9, 0.2, 0.2, 0.2]
    assert [row.example.sentence for row in rows] == [sentence for sentence, _ in sentences]


def test_figures(rows):
    figures = understanding.understanding_figures(rows)
    assert (figures["made"], figures["unmade"], figures["unknown"]) == (4, 1, 2)
    assert figures["unmade_refused"] == figures["unmade_right"] == 1
    assert (figures["refused"], figures["false_refusals"], figures["right"]) == (0.5, 0.25, 0.75)
    assert figures["reliability"] == [
        {"count": 1, "confidence": 0.52, "right": 0.0},
        {"count": 3, "confidence": pytest.approx(0.9533, abs=1e-4), "right": pytest.approx(2 / 3)},
    ]
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_a_share_of_no_sentence_is_none(rows):
    figures = understanding.understanding_figures([row for row in rows if not row.known])
    assert figures["false_refusals"] is figures["right"] is None
    assert figures["refused"] == 0.5


def test_tables(rows):
    output = shown(understanding.understanding_figures(rows))
    assert "7 sentences that people wrote" in output
    assert ["it", "can", "do", "4", "25.0%", "75.0%"] in lines(output)
    assert ["it", "reads,", "and", "cannot", "do", "1", "100.0%", "100.0%"] in lines(output)
    assert ["it", "does", "not", "know", "2", "50.0%", "–"] in lines(output)
    assert ["95.3%", "3", "66.7%"] in lines(output)
    none = understanding.understanding_figures(rows[:1])
    assert ["it", "does", "not", "know", "0", "–", "–"] in lines(shown(none))


def shown(figures):
    console = Console(file=io.StringIO(), width=80)
    console.print(*understanding_tables(figures), sep="\n")
    return console.file.getvalue()


def lines(output):
    return [line.split() for line in output.splitlines()]


@pytest.mark.parametrize(
    "settings, knows",
    [
        ({"fields": {"op": ["none", "recolour", "unknown"]}}, True),
        ({"fields": {"op": ["none", "recolour"]}}, False),
        ({}, False),
    ],
)
def test_a_parser_knows_unknown_or_not(tmp_path, settings, knows):
    publish_parser(tmp_path, settings)
    assert understanding.knows_unknown(tmp_path) is knows


def test_a_parser_has_to_be_exported(tmp_path):
    with pytest.raises(ArtifactError, match="run the export first"):
        understanding.knows_unknown(tmp_path)
