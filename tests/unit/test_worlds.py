"""Examples of the three worlds: what their sentences, labels and pictures say is one thing."""

import random

import numpy as np
import pytest

from retouch.api.geometry import CELL
from training import labels, scope, worlds
from training.example import Example
from training.operation import Item, Operation
from training.photo import objects
from training.scenes import BUCKETS
from training_pictures import use_samples

COUNT = 60


@pytest.fixture(autouse=True)
def _samples(monkeypatch):
    use_samples(monkeypatch)


@pytest.fixture()
def examples():
    rng = random.Random("worlds")
    return [worlds.draw_example(rng, BUCKETS[i % 3]) for i in range(COUNT)]


def test_examples_have_labels_of_their_size(examples):
    for example in examples:
        fields, boxes, changed, contents, presence = labels.label(example)
        cells = example.source.size // 3 // CELL**2
        assert fields.shape == (labels.SLOTS, len(labels.FIELDS))
        assert boxes.shape == (labels.SLOTS, 2, 4)
        assert changed.shape == (cells,)
        assert contents.shape == (cells, 2)
        assert presence.shape == (labels.SLOTS,)
        assert (fields[len(example.operations) :] == 0).all()
        assert example.sentence
        assert scope.in_scope(example.operations) == example.operations


def test_what_is_not_present_changes_nothing():
    rng = random.Random("absent")
    drawn = (worlds.draw_example(rng, BUCKETS[0]) for _ in range(2000))
    absent = (row for row in drawn if not all(operation.present for operation in row.operations))
    for _ in range(3):
        example = next(absent)
        assert (example.source == example.target).all()
        assert not example.edits


def test_most_examples_are_edits(examples):
    assert np.mean([example.edits for example in examples]) > 0.75


def test_idle_examples_ask_for_nothing_that_can_be_done():
    rng = random.Random("idle")
    ops = set()
    for _ in range(40):
        example = worlds.idle_example(rng, BUCKETS[0])
        (operation,) = example.operations
        ops.add(operation.op)
        assert (example.source == example.target).all()
        assert not labels.boxes(example.operations).any()
    assert ops == {"unknown", "nothing"}


def test_a_removed_object_leaves_the_photograph():
    rng = random.Random("remove")
    done = 0
    while done < 20:
        (photo,) = worlds.photographs("training")[:1]
        scene = objects.draw_scene(rng, photo.pixels[:128, :128])
        operation, left = objects.draw(rng, scene)
        if operation.op == "remove" and operation.present:
            done += 1
            assert len(left.layers) == len(scene.layers) - 1
            after = left.picture.pixels
            if not left.layers:
                assert (after == scene.photo).all()
            changed = (after != scene.picture.pixels).any(-1)
            assert not changed.any() or _inside(changed, operation.target.box)


def test_a_picture_has_the_targets_of_a_sentence():
    rng = random.Random("targets")
    target = Item("star", (0, 0, 0, 0), "green")
    operations = (
        Operation("remove", target),
        Operation("recolour", colour="blue", where="colour parts", where_colour="red"),
    )
    example = worlds.picture_for(rng, BUCKETS[0], "a sentence", operations)
    kinds = set(example.contents[:, 1])
    assert labels.FIELDS["value_kind"].index("star") in kinds


def test_out_of_scope_is_taught_as_unknown():
    duck = Item("duck", (0, 0, 1, 1))
    assert scope.in_scope([Operation("remove", duck)])[0].op == "remove"
    assert scope.in_scope([Operation("add", result=duck)]) == scope.UNKNOWN
    both = [Operation("brighter"), Operation("move", duck, duck, place="top")]
    assert scope.in_scope(both) == scope.UNKNOWN


def test_an_invisible_change_is_no_edit():
    black = np.zeros((128, 128, 3), np.uint8)
    contents = np.zeros((64, 2), np.int64)
    almost = black + np.uint8(1)
    assert not Example("darker", black, almost, (Operation("darker"),), contents).edits


def _inside(mask: np.ndarray, box) -> bool:
    """Whether all of a mask lies in a box of shares, a pixel more allowed."""
    height, width = mask.shape
    rows = np.flatnonzero(mask.any(1)) / height
    columns = np.flatnonzero(mask.any(0)) / width
    x0, y0, x1, y1 = box
    return (
        columns.min() >= x0 - 1 / width
        and columns.max() <= x1
        and rows.min() >= y0 - 1 / height
        and rows.max() <= y1
    )
