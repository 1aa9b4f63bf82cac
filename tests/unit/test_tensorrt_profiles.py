"""Which shapes plans are built for; that the families' own graphs are covered is tested beside the
parities."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as some
from onnx import TensorProto, helper

from retouch.api.geometry import BUCKETS, CELL
from retouch.api.limits import MAX_ASPECT
from retouch.families.registry import family_of
from retouch_export.tensorrt_profiles import profiles, shapes

INSTRUCTX = {"patch": 8, "shift": 3.0, "latent_channels": 3, "conditioning": [8, 192], "slots": 2}
SCHEDULER = {"use_dynamic_shifting": True}
NETWORK = {"joint_attention_dim": 32, "pooled_projection_dim": 8}
KLEIN = {"scheduler": SCHEDULER, "latent_channels": 128, "conditioning": [512, 32]}
FAMILIES = {
    "flux-kontext": {
        "scheduler": SCHEDULER,
        "cell": 16,
        "guidance_embeds": True,
        "default_guidance": 2.5,
        "latent_channels": 16,
        "words": 512,
        "transformer": NETWORK,
    },
    "flux2-klein": KLEIN,
    "flux2-klein-kv": KLEIN,
    "flux2-dev": KLEIN | {"default_guidance": 4.0},
    "qwen-image-edit": {
        "patch": 2,
        "area": 1024**2,
        "axes": [16, 56, 56],
        "scheduler": SCHEDULER,
        "photos": 3,
        "negative": " ",
        "default_true_cfg": 4.0,
        "factor": 8,
        "latent_channels": 16,
        "seen": 188,
        "conditioning": 32,
    },
    "qwen-image-21": {
        "area": 1024**2,
        "axes": [16, 56, 56],
        "attention": [32, 32, 128],
        "factor": 16,
        "latent_channels": 64,
        "conditioning": 32,
        "text_before": [9, 8, 8, 8],
        "scheduler": SCHEDULER,
    },
}


def model(**inputs):
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, axes)
        for name, axes in inputs.items()
    ]
    return helper.make_model(helper.make_graph([], "g", values, []))


STEP = model(
    tokens=["batch", "region", 192],
    ids=["batch", "region", 4],
    k=["batch", 6, "cells", 6, 32],
    timestep=["batch"],
)


def instructx(**settings):
    return family_of("instructx", INSTRUCTX | settings)


def test_every_bucket_and_batch_has_a_profile():
    table = profiles(STEP, instructx(), batches=(1, 4))
    for height, width in BUCKETS:
        cells = height // CELL * (width // CELL)
        for batch in (1, 2, 3, 4):
            fitting = [
                profile
                for profile in table
                if profile["cells"] == (cells, cells, cells)
                and profile["batch"][0] <= batch <= profile["batch"][2]
            ]
            assert len(fitting) == 1 and fitting[0]["region"] == (1, cells, cells)
    assert len(table) == 4  # 96×160 and 160×96 have as many cells
    assert table[0] == {"batch": (1, 1, 1), "cells": (64, 64, 64), "region": (1, 64, 64)}


def test_batches_follow_on_one_another():
    table = profiles(STEP, instructx(sizes=[(128, 128)]), (1, 2, 8))
    assert [profile["batch"] for profile in table] == [(1, 1, 1), (2, 2, 2), (3, 8, 8)]


def test_the_reference_has_its_own_axes():
    source = model(tokens=["batch", "cells", 192], ids=["batch", "cells", 4])
    assert profiles(source, instructx(), (1,)) == [
        {"batch": (1, 1, 1), "cells": (cells,) * 3} for cells in (64, 60)
    ]


def test_a_step_takes_as_many_references_as_the_family():
    step = model(tokens=["batch", "region", 128], k=["batch", 6, "cells", 6, 32])
    large, small = profiles(step, family_of("flux2-klein-kv", FAMILIES["flux2-klein-kv"]), (1,))
    assert large["cells"] == (1024, 4096, 4 * 4096) and large["region"] == (1, 4096, 4096)
    assert small["cells"] == (1, 1024, 4 * 1024) and small["region"] == (1, 1024, 1024)


def test_a_block_causal_family_has_three_graphs():
    """Nothing stands before the first image, and three images before the last."""
    family = family_of("qwen-image-21", FAMILIES["qwen-image-21"])
    past = ["batch", 32, "past", 32, 128]
    text = ["batch", "text", 32]
    image = {"tokens": ["batch", "cells", 64], "rope": ["batch", "block", 2, 64]}
    (reference,) = profiles(model(text=text, **image, past_k=past, past_v=past), family, (1,))
    low, usual, high = reference["cells"]
    assert usual == 4096 and reference["text"] == (8, 9, 9)
    assert reference["past"] == (0, 0, 9 + 8 + 8 + 3 * high)
    (prefix,) = profiles(model(text=text, k=past, v=past), family, (1,))
    assert prefix["past"] == (9 + low, 9 + usual, 9 + 3 * 8 + 4 * high)
    texts = ["batch", 32, "text", 32, 128]
    (step,) = profiles(model(tokens=image["tokens"], k=past, text_k=texts), family, (1,))
    assert step["past"] == prefix["past"] and step["text"] == prefix["text"]


@pytest.mark.parametrize("name", FAMILIES)
@given(height=some.integers(16, 4096), width=some.integers(16, 4096))
def test_what_is_edited_lies_in_a_span(name, height, width):
    family = family_of(name, FAMILIES[name])
    if max(height, width) <= min(height, width) * MAX_ASPECT:
        area = math.prod(family.size(height, width))
        assert any(
            math.prod(smallest) <= area <= math.prod(largest)
            for smallest, _, largest in family.size_ranges
        )


@pytest.mark.parametrize("name", FAMILIES)
def test_the_usual_lies_between(name):
    family = family_of(name, FAMILIES[name])
    assert list(family.text_tokens) == sorted(family.text_tokens)
    for span in family.size_ranges:
        assert list(map(math.prod, span)) == sorted(map(math.prod, span))


def test_axes_become_shapes():
    profile = {"batch": (1, 2, 4), "tokens": (256, 1024, 4096)}
    assert shapes(model(x=["batch", "tokens", 64], t=["batch"]), profile) == {
        "x": ((1, 256, 64), (2, 1024, 64), (4, 4096, 64)),
        "t": ((1,), (2,), (4,)),
    }


@pytest.mark.parametrize("axis, message", [("rows", "'rows'"), (None, "'without a name'")])
def test_an_axis_without_limits_is_refused(axis, message):
    with pytest.raises(ValueError, match=f"the input x has a dynamic axis {message}.*knows batch"):
        shapes(model(x=["batch", axis]), {"batch": (1, 1, 1)})


@pytest.mark.parametrize(
    "inputs, message",
    [
        ({"strange": ["batch", "cells"]}, "the family makes no strange with an axis 'cells'"),
        (
            {"tokens": ["batch", "n", 192], "k": ["batch", 6, "n", 6, 32]},
            "do not agree on the axis 'n': k has 64",
        ),
    ],
)
def test_a_graph_of_another_family_is_refused(inputs, message):
    with pytest.raises(ValueError, match=message):
        profiles(model(**inputs), instructx())
