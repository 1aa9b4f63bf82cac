"""The request's limits and words."""

from __future__ import annotations

import math

import pytest

from retouch.api.answer_format import DEFAULT_QUALITY, Format, parse_format
from retouch.api.errors import RequestError
from retouch.api.fields import FIELDS, REQUIRED
from retouch.api.limits import MAX_REFERENCE_BYTES
from retouch.api.request import (
    EditRequest,
    request_from_values,
    request_to_values,
)
from retouch.api.response import EditInfo, Operation, Region


def ask(**changes):
    return EditRequest(**{"image": b"x", "instruction": "make the red circle blue", **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": b""}, "IMAGE is empty"),
        ({"instruction": ""}, "1 to 2000 characters"),
        ({"instruction": " \n\t"}, "blank"),
        ({"instruction": "a" * 2001}, "at most 2000"),
        ({"seed": -1}, "SEED is -1"),
        ({"steps": -1}, "from 0 to 50"),
        ({"steps": 10**9}, "from 0 to 50"),
        ({"guidance": math.nan}, "finite number from 0"),
        ({"guidance": math.inf}, "finite number from 0"),
        ({"guidance": 11.0}, "from 0 to 10"),
        ({"previews": 9}, "from 0 to 8"),
        ({"precision": "fp64"}, "auto, draft, balanced, best, bf16, fp8 or fp4"),
        ({"region": b""}, "auto, full, find or a mask"),
        ({"format": "gif"}, "png, jpeg or webp"),
        ({"format": "jpeg;quality=0"}, "from 1 to 100"),
        ({"format": "jpeg;speed=1"}, "quality=1 to 100"),
        ({"deadline_ms": -5}, "DEADLINE_MS is -5"),
        ({"negative": "x" * 2001}, "NEGATIVE has 2001 characters"),
        ({"true_cfg": 11.0}, "TRUE_CFG is 11"),
        (
            {"references": (b"x",) * 11},
            "REFERENCES holds 11 images beside the edited one; at most 10",
        ),
        (
            {"references": (bytes(MAX_REFERENCE_BYTES), b"x")},
            f"REFERENCES has {MAX_REFERENCE_BYTES + 1} bytes in all; at most",
        ),
        ({"priority": 3}, "PRIORITY is 3; it must be from 0 to 2"),
        ({"region_cache": 11}, "REGION_CACHE is 11; it must be from 0 to 10"),
        ({"align": 2}, "ALIGN is 2; it must be from 0 to 1"),
        ({"detail": "on"}, "DETAIL 'on' is unknown; it must be auto or off"),
        ({"step_cache": 1.5}, "STEP_CACHE is 1.5; it must be from 0 to 1"),
        ({"step_cache": float("nan")}, "STEP_CACHE is nan; it must be a finite number from 0 to 1"),
    ],
)
def test_each_limit_is_named(changes, message):
    with pytest.raises(RequestError) as refused:
        ask(**changes).validate()
    assert message in str(refused.value)


def test_values_cross_both_ways():
    request = ask(seed=5, steps=3, format="jpeg;quality=80", region=b"full").validate()
    assert request_from_values(request_to_values(request)) == request


def test_two_inputs_are_an_edit():
    request = request_from_values({"IMAGE": b"x", "INSTRUCTION": b"make it blue"})
    assert request == ask(instruction="make it blue", seed=request.seed)
    assert request.seed != request_from_values({"IMAGE": b"x", "INSTRUCTION": b"make it blue"}).seed


@pytest.mark.parametrize("tensor", FIELDS, ids=lambda tensor: tensor.name)
def test_each_input_alone_may_be_left_out(tensor):
    values = request_to_values(ask(seed=5, steps=3, previews=2, format="webp"))
    del values[tensor.name]
    if tensor.name in REQUIRED:
        with pytest.raises(
            RequestError, match=f"{tensor.name} is missing; an edit needs IMAGE and INSTRUCTION"
        ):
            request_from_values(values)
        return
    request = request_from_values(values)
    if tensor.name != "SEED":
        assert getattr(request, tensor.attribute) == tensor.default


def test_a_negative_seed_is_told_how_to_be_random():
    """perf_analyzer draws negative ones when it has no data file."""
    with pytest.raises(
        RequestError, match="SEED is -7; it must be from 0 to .*left out, it is random"
    ):
        ask(seed=-7).validate()


def test_text_must_be_utf8():
    values = request_to_values(ask()) | {"INSTRUCTION": b"make \xff"}
    with pytest.raises(RequestError, match="INSTRUCTION is not valid UTF-8"):
        request_from_values(values)


def test_formats():
    assert parse_format("JPEG; quality=80") == Format("jpeg", 80)
    assert parse_format("webp;first_frame;quality=70") == Format("webp", 70, first_frame=True)
    assert parse_format("png;base64") == Format("png", DEFAULT_QUALITY, True)


def test_info_crosses_as_json():
    info = EditInfo(
        "final",
        1,
        "bf16",
        "asked for by name",
        8,
        operations=[Operation("remove", "red circle")],
        milliseconds={"total": 1.5},
    )
    info.region = Region([0.0, 0.0, 0.5, 0.5], 0.25)
    assert EditInfo.from_json(info.to_json()) == info
