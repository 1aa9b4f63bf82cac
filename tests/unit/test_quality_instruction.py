"""Whether an edit has done what was asked: by its exact result, by tones, by readings."""

from __future__ import annotations

import numpy as np
import pytest

from planned_faults import BLUE, PHOTOS, SIDE, everything, inside, noisy, photo, region, with_disc
from retouch.api.response import Operation
from retouch.quality.metrics.colour_names import COLOURS, colour_in
from retouch.quality.metrics.instruction import match_target
from retouch.quality.metrics.readings import Item, follow, overlap, place_of
from retouch.quality.metrics.tones import tone_effect
from training.photo import tones
from training.vocabulary import GRADED, IDLE_OPS, OBJECT_OPS, PHOTO_OPS

SHARED = pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.stem)


@SHARED
def test_planned_faults_are_farther_from_the_target(path):
    source = photo(path)
    target = with_disc(source)
    progress = {
        name: match_target(source, answer, target).progress
        for name, answer in {
            "exact": target,
            "lane": noisy(target, 2),
            "half": ((source.astype(int) + target) // 2).astype(np.uint8),
            "colour": with_disc(source, BLUE),
            "nothing": source,
        }.items()
    }
    assert progress["exact"] == 1 and progress["nothing"] == 0
    assert progress["lane"] > 0.9 and 0.2 < progress["half"] < 0.8
    assert progress["colour"] < 0.35


def test_only_the_change_counts():
    source = photo(PHOTOS[0])
    target = with_disc(source)
    exact = match_target(source, np.where(region()[:, :, None], target, 0), target)
    assert exact.progress == 1
    assert match_target(source, target, source) is None


def retouched(pixels, op, amount="none"):
    colour = "blue" if op == "tint" else "none"
    values = tones.apply(pixels.astype(np.float32) / 255, op, amount, colour)
    return np.rint(values * 255).astype(np.uint8)


def operation(op):
    return Operation(op, "", "blue" if op == "tint" else "")


@SHARED
@pytest.mark.parametrize("op", PHOTO_OPS)
def test_every_tone_is_told_from_nothing_and_from_noise(path, op):
    source = photo(path)
    amounts = ("slight", "none", "strong") if op in GRADED else ("none",)
    for amount in amounts:
        answer = noisy(retouched(source, op, amount), 1)
        assert tone_effect(operation(op), source, answer, everything()).followed, amount
    for answer in (source, noisy(source, 2)):
        assert not tone_effect(operation(op), source, answer, everything()).followed


@pytest.mark.parametrize(
    "op, opposite",
    [
        ("brighter", "darker"),
        ("warmer", "cooler"),
        ("contrast", "flatten"),
        ("saturate", "mute"),
        ("sharpen", "blur"),
    ],
)
def test_the_opposite_is_no_success(op, opposite):
    source = photo(PHOTOS[0])
    for asked, done in ((op, opposite), (opposite, op)):
        effect = tone_effect(operation(asked), source, retouched(source, done), everything())
        assert effect.change < 0 and not effect.followed


def test_the_region_alone_counts():
    source = photo(PHOTOS[0])
    answer = inside(source, retouched(source, "brighter"))
    assert tone_effect(operation("brighter"), source, answer, region()).followed
    assert not tone_effect(operation("brighter"), source, answer, ~region()).followed


@pytest.mark.parametrize("op", (*IDLE_OPS, *OBJECT_OPS[1:], "tint", "made up"))
def test_operations_without_a_direction_have_no_effect(op):
    source = photo(PHOTOS[0])
    assert tone_effect(Operation(op), source, source, everything()) is None


@pytest.mark.parametrize(
    "op, level", [("brighter", 255), ("darker", 0), ("grey", 90), ("blur", 90), ("posterise", 9)]
)
def test_where_there_is_nothing_to_do_nothing_is_told(op, level):
    flat = np.full((32, 32, 3), level, np.uint8)
    mask = np.ones((32, 32), bool)
    assert tone_effect(Operation(op), flat, flat, mask) is None
    assert tone_effect(Operation(op), flat, flat, ~mask) is None


@pytest.mark.parametrize("op", ("recolour", "background"))
def test_a_colour_is_told_from_another(op):
    source = with_disc(photo(PHOTOS[0]))
    asked = Operation(op, "red circle", "blue")
    blue, green = (with_disc(source, COLOURS[colour]) for colour in ("blue", "green"))
    assert tone_effect(asked, source, blue, region()).followed
    for wrong in (source, green):
        assert (
            tone_effect(asked, source, wrong, region()).change
            < tone_effect(asked, source, blue, region()).change / 2
        )


@pytest.mark.parametrize(
    "text, colour",
    [("strong Blue", "blue"), ("gray cat", "grey"), ("", None), ("a bluebird", None)],
)
def test_colours_of_a_text(text, colour):
    assert colour_in(text) == colour


LEFT = (0.1, 0.1, 0.3, 0.3)
RIGHT = (0.7, 0.7, 0.9, 0.9)
CIRCLE = Item("circle", "red", LEFT)
SQUARE = Item("square", "blue", RIGHT)
BEFORE = (CIRCLE, SQUARE)
BLUE_CIRCLE = Item("circle", "blue", LEFT)
LARGE = Item("circle", "red", (0.05, 0.05, 0.35, 0.35))
SMALL = Item("circle", "red", (0.15, 0.15, 0.25, 0.25))
AWAY = Item("circle", "red", (0.7, 0.1, 0.9, 0.3))


@pytest.mark.parametrize(
    "asked, done, undone",
    [
        (Operation("remove", "red circle"), [(SQUARE,)], [BEFORE, (LARGE, SQUARE)]),
        (
            Operation("replace", "red circle", "yellow star"),
            [(Item("star", "yellow", LEFT), SQUARE)],
            [BEFORE, (SQUARE,), (Item("star", "green", LEFT), SQUARE)],
        ),
        (
            Operation("replace", "red circle", "star"),
            [(Item("star", "green", LEFT), SQUARE)],
            [BEFORE, (CIRCLE, Item("star", "green", LEFT), SQUARE)],
        ),
        (
            Operation("recolour", "red circle", "blue"),
            [(BLUE_CIRCLE, SQUARE)],
            [BEFORE, (SQUARE,), (Item("square", "blue", LEFT), SQUARE)],
        ),
        (
            Operation("move", "red circle", "top right"),
            [(AWAY, SQUARE)],
            [BEFORE, (SQUARE,), (CIRCLE, AWAY, SQUARE), (Item("circle", "red", RIGHT), SQUARE)],
        ),
        (
            Operation("add", "", "small green star top right"),
            [(*BEFORE, Item("star", "green", AWAY.box))],
            [BEFORE, (*BEFORE, Item("star", "green", LEFT)), (*BEFORE, Item("star", "", AWAY.box))],
        ),
        (
            Operation("resize", "red circle", "large"),
            [(LARGE, SQUARE)],
            [BEFORE, (SMALL, SQUARE), (SQUARE,)],
        ),
        (Operation("resize", "red circle", "small"), [(SMALL, SQUARE)], [BEFORE, (LARGE, SQUARE)]),
        (Operation("resize", "circle", "medium"), [(SMALL, SQUARE), (LARGE, SQUARE)], [BEFORE]),
    ],
    ids=lambda value: value.op if isinstance(value, Operation) else "",
)
def test_readings_tell_what_is_done(asked, done, undone):
    for answer in done:
        assert follow(asked, BEFORE, answer).followed, answer
    for answer in undone:
        assert not follow(asked, BEFORE, answer).followed, answer


def test_what_was_elsewhere_before_has_not_moved():
    """The target is gone, and another one like it is where it always was."""
    moved = follow(Operation("move", "red circle", "top right"), (CIRCLE, AWAY), (AWAY,))
    assert moved.gone and not moved.moved and not moved.followed


def test_the_box_says_which_of_two_is_meant():
    asked = Operation("remove", "red circle", box=AWAY.box)
    assert follow(asked, (CIRCLE, AWAY), (CIRCLE,)).followed
    assert not follow(asked, (CIRCLE, AWAY), (AWAY,)).followed


@pytest.mark.parametrize(
    "asked",
    [
        Operation("brighter"),
        Operation("unknown", "red circle"),
        Operation("remove", "green circle"),
        Operation("recolour", "red circle", "shiny"),
        Operation("resize", "red circle", ""),
    ],
)
def test_what_readings_cannot_tell(asked):
    assert follow(asked, BEFORE, BEFORE) is None


def test_boxes():
    assert overlap(LEFT, LEFT) == pytest.approx(1) and overlap(LEFT, RIGHT) == 0
    assert overlap((0, 0, 0.2, 0.2), (0.1, 0, 0.3, 0.2)) == pytest.approx(1 / 3)
    assert place_of((0.4, 0.4, 0.6, 0.6)) == "center"
    assert [place_of(box) for box in (LEFT, RIGHT, AWAY.box)] == [
        "top left",
        "bottom right",
        "top right",
    ]


def test_pictures_of_other_sizes_are_refused():
    source = photo(PHOTOS[0])
    with pytest.raises(ValueError, match="one size"):
        match_target(source, source, source[: SIDE // 2])
    with pytest.raises(ValueError, match="region"):
        tone_effect(Operation("blur"), source, source, everything()[:5])
