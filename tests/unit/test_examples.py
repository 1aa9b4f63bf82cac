"""The example edits: pictures of the shipped checkpoint, each with a sentence."""

from __future__ import annotations

import json

from PIL import Image

from retouch_clients.shipped_checkpoint import SHIPPED
from retouch_clients.shipped_checkpoint import examples as module
from retouch_clients.shipped_checkpoint.examples import FILE, Example, examples


def test_the_shipped_checkpoint_has_their_pictures():
    shown = examples()
    assert len({edit.name for edit in shown}) == len(shown) > 2
    for edit in shown:
        assert edit.instruction
        with Image.open(edit.image) as picture:
            picture.load()


def test_make_edit_makes_the_first():
    first = examples()[0]
    assert first.image.stem == "sample"
    assert (SHIPPED / "sample.txt").read_text().strip() == first.instruction


def test_without_a_picture_there_are_none(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHIPPED", tmp_path)
    assert examples() == []
    rows = [
        {"name": "tone", "image": "sample.jpg", "instruction": "make it warmer"},
        {"name": "object", "image": "object.jpg", "instruction": "remove the date"},
    ]
    (tmp_path / FILE).write_text(json.dumps(rows))
    (tmp_path / "sample.jpg").write_bytes(b"")
    assert examples() == []
    (tmp_path / "object.jpg").write_bytes(b"")
    assert examples()[0] == Example("tone", tmp_path / "sample.jpg", "make it warmer")
