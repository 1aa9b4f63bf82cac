"""Which shapes plans are built for."""

from __future__ import annotations

import pytest
from onnx import TensorProto, helper

from export.profiles import family, shapes
from retouch.types import BUCKETS, CELL


def model(**inputs):
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, axes) for name, axes in inputs.items()]
    return helper.make_model(helper.make_graph([], "g", given, []))


def test_every_bucket_and_batch_has_a_profile():
    table = family(batches=(1, 4))
    for height, width in BUCKETS:
        cells = height // CELL * (width // CELL)
        for batch in (1, 2, 3, 4):
            fitting = [profile for profile in table if profile["cells"] == (cells, cells, cells)
                       and profile["batch"][0] <= batch <= profile["batch"][2]]
            assert len(fitting) == 1 and fitting[0]["region"] == (1, cells, cells)
    assert len(table) == 4  # 96×160 and 160×96 have as many cells
    assert table[0] == {"batch": (1, 1, 1), "cells": (64, 64, 64), "region": (1, 64, 64)}


def test_batches_follow_on_one_another():
    assert [profile["batch"] for profile in family([(128, 128)], (1, 2, 8))] == [(1, 1, 1), (2, 2, 2), (3, 8, 8)]


def test_axes_become_shapes():
    profile = {"batch": (1, 2, 4), "tokens": (256, 1024, 4096)}
    assert shapes(model(x=["batch", "tokens", 64], t=["batch"]), profile) == {
        "x": ((1, 256, 64), (2, 1024, 64), (4, 4096, 64)), "t": ((1,), (2,), (4,))}


@pytest.mark.parametrize("axis, words", [("rows", "'rows'"), (None, "'without a name'")])
def test_an_axis_without_limits_is_refused(axis, words):
    with pytest.raises(ValueError, match=f"the input x has a dynamic axis {words}.*knows batch"):
        shapes(model(x=["batch", axis]), {"batch": (1, 1, 1)})
