"""What an instruction that is not understood is answered with."""

from __future__ import annotations

import json

import pytest

from retouch.api.response import Operation
from retouch.families.instructx.assessment import Assessment
from retouch.families.instructx.hints import COUNT, FILE, MOST_NAMES, Hints

OPS = ["none", "recolour", "remove", "nothing", "unknown"]
EXAMPLES = [
    {"sentence": "make the cup blue", "op": "recolour"},
    {"sentence": "make the cat blue", "op": "recolour"},
    {"sentence": "make nothing of it", "op": "nothing"},
    {"sentence": "remove the cup", "op": "remove"},
    {"sentence": "take the boat away", "op": "remove"},
    {"sentence": "把天空变成蓝色", "op": "recolour"},
]
UNKNOWN = Assessment([], 0.1, "unknown_instruction")


@pytest.fixture
def hints(tmp_path):
    (tmp_path / FILE).write_text(json.dumps(EXAMPLES), encoding="utf-8")
    return Hints.of(tmp_path, {"op": OPS})


def test_an_instruction_that_is_understood_has_none(hints):
    assert hints.hint("remove the cup", Assessment([Operation("remove", "cup")], 1.0, None)) is None


@pytest.mark.parametrize(
    "instruction, nearest",
    [
        ("Make the CAT wear a hat", "make the cat blue"),
        ("remove cup pls", "remove the cup"),
        ("把天空变成绿色", "把天空变成蓝色"),
        ("make the cup blue" + " and" * 500, "make the cup blue"),
    ],
)
def test_the_nearest_example_is_first(hints, instruction, nearest):
    examples = hints.hint(instruction, UNKNOWN).examples
    assert examples[0] == nearest and len(set(examples)) == len(examples) == COUNT


def test_examples_of_the_operation_are_first(hints):
    missing = [Operation("remove", "cat")]
    hint = hints.hint("make the cat go", Assessment(missing, 0.2, "target_not_found", missing))
    assert set(hint.examples[:2]) == {"remove the cup", "take the boat away"}
    assert "not in the picture: cat;" in hint.message


def test_the_message_names_the_edits(hints):
    message = hints.hint("sing", UNKNOWN).message
    assert message == "INSTRUCTION is not understood; the edits are recolour and remove"
    many = Hints({"op": ["none", *(f"edit{number}" for number in range(MOST_NAMES + 5))]})
    assert many.hint("sing", UNKNOWN).message.endswith("edit11 and 5 others")


def test_an_unsure_reading_is_named(hints):
    unsure = Assessment([Operation("remove", "red cup")], 0.4, "low_confidence")
    assert "may mean remove red cup, or not" in hints.hint("kill it", unsure).message


def test_an_operation_that_the_checkpoint_does_not_make(tmp_path):
    """It is named, and no longer offered."""
    (tmp_path / FILE).write_text(json.dumps(EXAMPLES), encoding="utf-8")
    hints = Hints.of(tmp_path, {"op": OPS}, ["remove"])
    removal = Assessment([Operation("remove", "cup")], 0.9, "unsupported")
    hint = hints.hint("remove the cup", removal)
    assert hint.message == "INSTRUCTION asks for remove cup; the edits are recolour"
    assert "remove the cup" not in hint.examples and len(hint.examples) == COUNT


def test_without_examples_there_is_a_message_alone(tmp_path):
    hint = Hints.of(tmp_path, {"op": OPS}).hint("sing", UNKNOWN)
    assert hint.examples == [] and hint.message


@pytest.mark.parametrize(
    "content",
    ["[", "5", '["a"]', '[{"sentence": "a"}]', '[{"sentence": 5, "op": "remove"}]']
    + ['[{"sentence": "a", "op": "fly"}]', '[{"sentence": "a", "op": "remove", "size": 1}]'],
)
def test_examples_that_are_none(tmp_path, content):
    (tmp_path / FILE).write_text(content)
    with pytest.raises(ValueError, match="examples.json must be a list of"):
        Hints.of(tmp_path, {"op": OPS})
