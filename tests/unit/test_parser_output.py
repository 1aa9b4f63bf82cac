"""Logits to words."""

from fractions import Fraction
from functools import partial

import numpy as np
import pytest

from retouch.api.response import Operation
from retouch.families.instructx import parser_output
from retouch.families.instructx.parser import Parsed
from training.vocabulary import WHERES

FIELDS = {
    "op": ["none", "recolour", "remove", "replace", "add", "move", "resize", "background"],
    "target_colour": ["none", "red", "blue"],
    "target_kind": ["none", "circle", "star"],
    "target_size": ["none", "small"],
    "value_colour": ["none", "red", "blue"],
    "value_kind": ["none", "circle", "star"],
    "value_size": ["none", "large"],
    "value_place": ["none", "top left", "right", "bottom right"],
}
# of heads that know parts of the picture
PART_FIELDS = FIELDS | {
    "op": [*FIELDS["op"], "warmer", "grey", "nothing", "unknown"],
    "where": ["none", *WHERES],
}
BOXES = np.array([[[0.1, 0.2, 0.3, 0.4], [0.9, 0.6, 0.5, 0.8]]] * 2, np.float32)
RED_CIRCLE = {"target_colour": "red", "target_kind": "circle", "target_size": "small"}
BLUE_STAR = {"value_colour": "blue", "value_kind": "star", "value_size": "large"}


def logits(*slots, fields=FIELDS):
    """Rows whose largest logit of every field is the given word's."""
    rows = [
        [
            float(word == slot.get(name, "none"))
            for name, values in fields.items()
            for word in values
        ]
        for slot in (*slots, {}, {})[:2]
    ]
    return np.array(rows, np.float32)


part_logits = partial(logits, fields=PART_FIELDS)


def read(*slots):
    return parser_output.operations(logits(*slots), BOXES, FIELDS)


def test_every_operation_says_what_it_does():
    target = (0.1, 0.2, 0.3, 0.4)
    value = (0.5, 0.6, 0.9, 0.8)
    every = {**RED_CIRCLE, **BLUE_STAR, "value_place": "top left"}
    assert read({"op": "recolour", **every}) == [
        Operation("recolour", "red circle", "blue", target)
    ]
    assert read({"op": "remove", **every}) == [Operation("remove", "red circle", "", target)]
    assert read({"op": "replace", **every}) == [
        Operation("replace", "red circle", "blue star", target)
    ]
    assert read({"op": "move", **every}) == [
        Operation("move", "red circle", "bottom right", target)
    ]
    assert read({"op": "resize", **every}) == [Operation("resize", "red circle", "large", target)]
    added = {"op": "add", **BLUE_STAR, "value_place": "top left"}
    assert read(added) == [Operation("add", "", "large blue star bottom right", value)]
    assert read({"op": "background", "value_colour": "blue"}) == [
        Operation("background", "", "blue", (0, 0, 1, 1))
    ]


SHUFFLES = {
    "trained": list,
    "sorted": sorted,
    "backwards": lambda names: sorted(names, reverse=True),
}


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_a_file_may_have_the_fields_in_any_order(shuffle):
    fields = {name: FIELDS[name] for name in SHUFFLES[shuffle](FIELDS)}
    slot = {"op": "add", **BLUE_STAR, "value_place": "right"}
    assert parser_output.likeliest(logits(slot)[0], fields) == dict.fromkeys(FIELDS, "none") | slot
    assert parser_output.operations(logits(slot), BOXES, fields) == read(slot)


def test_the_shipped_heads_are_read_in_the_order_of_their_training():
    """Every pair's labels come back as they went in, by the fields that the checkpoint's file
    has."""
    import json
    import random

    from retouch_clients.shipped_checkpoint import SHIPPED
    from training import labels
    from training.scenes import draw_pair

    fields = json.loads((SHIPPED / "parser_heads" / "config.json").read_text())["fields"]
    assert fields == labels.HEAD_FIELDS
    rng = random.Random(0)
    for _ in range(50):
        for chosen in labels.fields(draw_pair(rng).operations):
            named = {name: values[at] for (name, values), at in zip(labels.FIELDS.items(), chosen)}
            row = np.concatenate(
                [np.eye(len(values))[at] for values, at in zip(labels.FIELDS.values(), chosen)]
            )
            assert parser_output.likeliest(row, fields) == named


def test_two_operations_and_none():
    both = read({"op": "remove", **RED_CIRCLE}, {"op": "add", **BLUE_STAR})
    assert [operation.op for operation in both] == ["remove", "add"]
    assert read() == []


def test_places_are_zero_where_there_is_no_shape():
    labels = logits({"op": "remove", **RED_CIRCLE}, {"op": "add", **BLUE_STAR})
    places = parser_output.places(labels, BOXES, FIELDS)
    np.testing.assert_array_equal(places[0, 0], BOXES[0, 0])
    np.testing.assert_array_equal(places[1, 1], BOXES[1, 1])
    assert not places[0, 1].any() and not places[1, 0].any()
    whole = parser_output.places(logits({"op": "background", "value_colour": "red"}), BOXES, FIELDS)
    np.testing.assert_array_equal(whole[0], [[0, 0, 1, 1]] * 2)
    assert not whole[1].any()


def test_places_agree_with_the_training_labels():
    import random

    from training import labels
    from training.scenes import draw_pair

    fields = labels.HEAD_FIELDS
    sizes = [len(values) for values in fields.values()]
    rng = random.Random(0)
    for _ in range(200):
        pair = draw_pair(rng)
        chosen = labels.fields(pair.operations)
        rows = [np.concatenate([np.eye(size)[i] for size, i in zip(sizes, row)]) for row in chosen]
        exact = labels.boxes(pair.operations)
        noisy = np.where(exact.any(-1, keepdims=True), exact, np.float32(0.5))
        np.testing.assert_array_equal(parser_output.places(np.array(rows), noisy, fields), exact)


def region(tokens, threshold, boxes, seen, grid):
    """Of operations on shapes."""
    labels = logits({"op": "remove", **RED_CIRCLE}, {"op": "remove", **RED_CIRCLE})
    return parser_output.region(tokens, threshold, labels, boxes, FIELDS, seen, grid)


def part_region(logits, *slots):
    """On a grid of 4 × 4 cells, by heads that know parts of the picture."""
    labels = part_logits(*slots)
    boxes = parser_output.places(
        labels, np.tile(np.float32([0.3, 0.3, 0.45, 0.45]), (2, 2, 1)), PART_FIELDS
    )
    cells = parser_output.region(logits, 0.5, labels, boxes, PART_FIELDS, (4, 4), (4, 4))
    return cells.reshape(4, 4)


def test_a_part_in_a_box_is_its_box():
    """Whatever the tokens say; a part fades over its border into the next cell."""
    likely = np.full(16, 9, np.float32)
    left = np.arange(4) < 3
    right = np.arange(4) > 0
    np.testing.assert_array_equal(
        part_region(likely, {"op": "warmer", "where": "left half"}), np.tile(left, (4, 1))
    )
    corner = part_region(-likely, {"op": "grey", "where": "bottom right corner"})
    np.testing.assert_array_equal(corner, np.outer(right, right))
    assert part_region(-likely, {"op": "grey"}).all()


def test_a_scattered_part_is_what_the_tokens_say():
    logits = np.where(np.eye(4, dtype=bool), 9.0, -9.0).ravel()
    dark = part_region(logits, {"op": "warmer", "where": "dark parts"})
    np.testing.assert_array_equal(dark, np.eye(4, dtype=bool))
    with_half = part_region(
        logits,
        {"op": "warmer", "where": "dark parts"},
        {"op": "grey", "where": "top half"},
    )
    np.testing.assert_array_equal(with_half, np.eye(4, dtype=bool) | (np.arange(4) < 3)[:, None])


def test_an_object_is_where_its_box_and_the_tokens_are():
    logits = np.where(np.arange(16) == 15, 9.0, -9.0)
    cells = part_region(logits, {"op": "remove", "target_kind": "circle"})
    assert cells[3, 3] and cells[1, 1] and not cells[0, 0]


@pytest.mark.parametrize("op", ["none", "nothing", "unknown"])
def test_what_changes_nothing_has_no_box(op):
    labels = part_logits({"op": op, "where": "left half"})
    assert not parser_output.places(labels, BOXES, PART_FIELDS).any()


def test_region_threshold_is_a_probability():
    cells = np.array([-3.0, -0.9, -0.8, 0.0, 3.0], np.float32)
    nowhere = np.zeros((2, 2, 4), np.float32)
    assert region(cells, 0.3, nowhere, (1, 5), (1, 5)).tolist() == [
        False,
        False,
        True,
        True,
        True,
    ]
    assert region(cells, 0.5, nowhere, (1, 5), (1, 5)).tolist() == [
        False,
        False,
        False,
        False,
        True,
    ]


def test_region_holds_the_cells_that_a_box_touches():
    unlikely = np.full(16, -9, np.float32)
    places = np.zeros((2, 2, 4), np.float32)
    places[0, 1] = (0.30, 0.55, 0.45, 0.70)
    cells = region(unlikely, 0.5, places, (4, 4), (4, 4)).reshape(4, 4)
    assert np.argwhere(cells).tolist() == [[2, 1]]
    places[0, 1] = (0.30, 0.55, 0.49, 0.70)  # so near the next cell that the shape may reach it
    cells = region(unlikely, 0.5, places, (4, 4), (4, 4)).reshape(4, 4)
    assert np.argwhere(cells).tolist() == [[2, 1], [2, 2]]


@pytest.mark.parametrize(
    "seen, grid",
    [((4, 6), (7, 10)), ((5, 5), (9, 9)), ((37, 20), (64, 36)), ((8, 8), (8, 8)), ((3, 9), (2, 4))],
)
def test_a_cell_changes_when_any_token_over_it_does(seen, grid):
    """Held against shares of the image in whole fractions, token by token."""
    changing = np.random.default_rng(0).random(seen) < 0.1
    tokens = np.where(changing, 9.0, -9.0).ravel()
    nowhere = np.zeros((2, 2, 4), np.float32)
    cells = region(tokens, 0.5, nowhere, seen, grid)

    def meet(cell, cells, token, tokens):
        begins = Fraction(cell, cells) < Fraction(token + 1, tokens)
        return begins and Fraction(token, tokens) < Fraction(cell + 1, cells)

    for index, cell in enumerate(np.ndindex(grid)):
        over = any(
            all(map(meet, cell, grid, token, seen)) for token in np.argwhere(changing).tolist()
        )
        assert cells[index] == over


def test_parsed_survives_json():
    queries = np.ones((8, 4), np.float32)
    region = np.array([True, False, True])
    parsed = Parsed(queries, BOXES, read({"op": "remove", **RED_CIRCLE}), region)
    again = Parsed.from_json(parsed.to_json(), queries)
    np.testing.assert_array_equal(again.region, region)
    np.testing.assert_allclose(again.boxes, BOXES, atol=1e-4)
    assert [operation.op for operation in again.operations] == ["remove"]
    assert again.to_json() == parsed.to_json()


def test_place_and_size_are_those_of_the_box_for_any_logits():
    """The words of the labels, whatever they are, never stand against the box that the transformer
    takes."""
    from shape_fields import SHAPE_FIELDS
    from training.render import PLACES, SIZES, Scene, Shape

    rng = np.random.default_rng(0)
    for bucket in ((128, 128), (96, 160), (160, 96)):
        scene = Scene(*bucket, "white", "plain")
        for place in PLACES:
            for size in SIZES:
                shape = Shape("red", "star", size, *scene.anchor(place))
                boxes = np.array([[scene.box(shape)] * 2] * 2, np.float32)
                rows = rng.normal(size=(2, sum(map(len, SHAPE_FIELDS.values())))).astype(np.float32)
                drawn = parser_output.places(rows, boxes, SHAPE_FIELDS)
                read = parser_output.operations(rows, boxes, SHAPE_FIELDS)
                slots = [
                    slot for slot, row in enumerate(rows) if row[: len(SHAPE_FIELDS["op"])].argmax()
                ]
                for slot, operation in zip(slots, read):
                    shown = drawn[slot, 1].any()
                    if operation.op == "move":
                        assert operation.value == (place if shown else "")
                    if operation.op == "resize":
                        assert operation.value == (size if shown else "")
                    if operation.op == "add":
                        assert operation.value.endswith(place) == bool(shown) or not shown
