"""The training corpus: what its sentences say is what its pictures show."""

import random

import numpy as np
import pytest

from training.example import LEAST_CHANGE
from training.judge import judge
from training.labels import FIELDS, boxes, changed_cells, fields
from training.render import COLOURS, nearest_label, render
from training.scenes import BUCKETS, EDIT_KINDS, draw_pair


@pytest.fixture(params=EDIT_KINDS)
def pairs(request):
    rng = random.Random(request.param)
    return [draw_pair(rng, op=request.param) for _ in range(20)]


def test_pixels_have_the_labels_colour(pairs):
    for pair in pairs:
        drawing = render(pair.target)
        wrong = (nearest_label(drawing.pixels) != drawing.labels) & ~drawing.edges
        assert not wrong.any(), pair.instruction


def test_the_exact_result_succeeds_and_the_source_does_not(pairs):
    for pair in pairs:
        source = render(pair.source)
        target = render(pair.target)
        assert judge(source, target, target.pixels).success
        assert not judge(source, target, source.pixels).success


def test_only_changed_cells_change(pairs):
    for pair in pairs:
        source = render(pair.source)
        target = render(pair.target)
        mask = (
            changed_cells(source.pixels, target.pixels)
            .reshape(pair.source.height // 16, -1)
            .repeat(16, 0)
            .repeat(16, 1)
        )
        moved = np.abs(source.pixels.astype(int) - target.pixels)
        assert moved[~mask].max(initial=0) <= LEAST_CHANGE
        assert mask.any()


def test_labels_say_what_the_edit_does(pairs):
    for pair in pairs:
        named_fields = [dict(zip(FIELDS, row)) for row in fields(pair.operations)]
        for edit, row in zip(pair.edits, named_fields):
            assert FIELDS["op"][row["op"]] == edit.op
            colour = edit.background or (edit.result and edit.result.colour)
            assert FIELDS["value_colour"][row["value_colour"]] == (colour or "none")


def test_boxes_lie_in_the_image_and_hold_the_shape():
    rng = random.Random(5)
    for _ in range(50):
        pair = draw_pair(rng, op="move")
        target, value = boxes(pair.operations)[0]
        assert (target >= 0).all() and (value <= 1).all()
        x = (value[0] + value[2]) / 2 * pair.target.width
        y = (value[1] + value[3]) / 2 * pair.target.height
        moved = pair.edits[0].result
        assert render(pair.target).labels[int(y), int(x)] == COLOURS.index(moved.colour)


def test_a_seed_draws_the_same_pairs():
    first, second = ([draw_pair(random.Random(i)) for i in range(10)] for _ in range(2))
    assert first == second


@pytest.mark.parametrize("bucket", BUCKETS)
def test_scenes_fill_their_bucket(bucket):
    drawing = render(draw_pair(random.Random(1), bucket).source)
    assert drawing.pixels.shape == (*bucket, 3) and drawing.pixels.dtype == np.uint8
