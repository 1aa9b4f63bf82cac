"""The example edits: pictures of the shipped checkpoint, with sentences that its grammar has."""

from __future__ import annotations

import random

import pytest
from PIL import Image

from retouch_clients.shipped_checkpoint import SHIPPED
from retouch_clients.shipped_checkpoint import examples as module
from retouch_clients.shipped_checkpoint.examples import EDITS, Example, examples
from training import grammar
from training.kinds import learnt
from training.operation import Item, Operation

BOX = (0.1, 0.1, 0.3, 0.3)
OPERATIONS = {
    "tone": Operation("warmer"),
    "part": Operation("grey", where="left half"),
    "object": Operation("remove", Item("date", BOX)),
    "shapes": Operation("recolour", Item("circle", BOX, "red"), Item("circle", BOX, "blue")),
}


def test_the_shipped_checkpoint_has_their_pictures():
    assert [(edit.name, edit.image.name, edit.instruction) for edit in examples()] == list(EDITS)
    for edit in examples():
        with Image.open(edit.image) as picture:
            picture.load()


def test_make_edit_makes_the_first():
    _, file, instruction = EDITS[0]
    assert file == "sample.jpg"
    assert (SHIPPED / "sample.txt").read_text().strip() == instruction


@pytest.mark.parametrize("name, _, instruction", EDITS)
def test_the_grammar_has_the_sentence(name, _, instruction):
    operation = OPERATIONS[name]
    items = [operation.target] if operation.target else []
    sentences = {
        grammar.sentence(random.Random(seed), (operation,), items, kinds=learnt())
        for seed in range(2000)
    }
    assert instruction in sentences


def test_without_the_checkpoint_there_are_none(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHIPPED", tmp_path)
    for name in ("sample.jpg", "object.jpg"):
        (tmp_path / name).write_bytes(b"")
    assert examples() == []
    (tmp_path / "shapes.png").write_bytes(b"")
    assert examples()[0] == Example("tone", tmp_path / "sample.jpg", "make it warmer")
