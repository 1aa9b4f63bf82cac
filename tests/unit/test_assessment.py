"""Whether an instruction is understood, by logits that are made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from retouch.families.instructx.assessment import Calibration, assess
from retouch.families.instructx.parser_output import ordered

FIELDS = {
    "op": ["none", "recolour", "remove", "warmer", "nothing", "unknown"],
    "target_colour": ["none", "red"],
    "target_kind": ["none", "cat"],
    "value_colour": ["none", "blue"],
    "amount": ["none", "slight"],
    "where": ["none", "left half"],
    "mood": ["none", "gloomy"],  # of a name that no code knows
}
CAT = {"op": "remove", "target_colour": "red", "target_kind": "cat"}
BOXES = np.array([[[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]]] * 2, np.float32)
SURE = 20.0


def labels(*slots, height=SURE):
    """Logits of two slots, `height` for the given values and 0 for all others."""
    rows = [
        np.concatenate(
            [
                [height * (value == slot.get(name, "none")) for value in values]
                for name, values in ordered(FIELDS).items()
            ]
        )
        for slot in (*slots, {}, {})[:2]
    ]
    return np.array(rows, np.float32)


def assessed(*slots, presence=None, height=SURE, **calibration):
    logits = None if presence is None else np.array(presence, np.float32)
    rows = labels(*slots, height=height)
    return assess(rows, BOXES, FIELDS, logits, Calibration(**calibration))


def ops(assessment):
    return [operation.op for operation in assessment.operations]


def test_sure_operations_are_understood():
    one = assessed(CAT)
    assert one.understood and ops(one) == ["remove"] and one.confidence == pytest.approx(1)
    two = assessed(CAT, {"op": "warmer"}, presence=(SURE, -SURE))
    assert two.understood and ops(two) == ["remove", "warmer"], "warmer has no target"


@pytest.mark.parametrize("slots", [({"op": "unknown"},), (CAT, {"op": "unknown"}), ()])
def test_a_slot_that_is_unknown_or_none_at_all(slots):
    assessment = assessed(*slots)
    assert (assessment.understood, assessment.reason) == (False, "unknown_instruction")
    assert assessment.confidence == pytest.approx(0, abs=1e-6)
    assert ops(assessment) == ["remove"] * (len(slots) == 2), "unknown is no operation"


def test_nothing_counts_alone():
    alone = assessed({"op": "nothing"})
    assert alone.understood and alone.asks_for_nothing and ops(alone) == ["nothing"]
    for slots in ((CAT, {"op": "nothing"}), ({"op": "nothing"}, CAT)):
        beside = assessed(*slots)
        assert beside.understood and ops(beside) == ["remove"] and not beside.asks_for_nothing
    assert ops(assessed({"op": "nothing"}, {"op": "nothing"})) == ["nothing"]
    assert alone.operations[0].box is None


@pytest.mark.parametrize("presence, reason", [((0.1, 9), None), ((-0.1, 9), "target_not_found")])
def test_a_target_that_is_not_there(presence, reason):
    assessment = assessed(CAT, presence=presence)
    assert assessment.reason == reason
    assert [operation.target for operation in assessment.missing] == ["red cat"] * bool(reason)
    part = assessed({"op": "warmer", "where": "left half"}, presence=presence)
    assert part.reason == reason, "a part of the picture is a target too"
    assert assessed(CAT).understood, "heads without presence find every target"


def test_confidence_is_a_product_over_the_slots():
    """Of three logits' softmax and a sigmoid, each divided by the temperature."""
    for temperature in (1.0, 2.5):
        powers = np.exp(2 / temperature)
        op = powers / (powers + len(FIELDS["op"]) - 1)
        there = 1 / (1 + np.exp(-0.7 / temperature))
        one = assessed(CAT, presence=(0.7, 0), height=2, temperature=temperature)
        assert one.confidence == pytest.approx(op * there)
        two = assessed(CAT, {"op": "warmer"}, presence=(0.7, 0), height=2, temperature=temperature)
        assert two.confidence == pytest.approx(op * op * there)


def test_an_edit_below_the_threshold():
    unsure = assessed(CAT, height=2, refuse_below=0.6)
    assert unsure.reason == "low_confidence" and ops(unsure) == ["remove"]
    assert assessed(CAT, height=2, refuse_below=0.5).understood
    assert assessed({"op": "unknown"}, refuse_below=0.6).reason == "unknown_instruction"


def test_fields_of_any_name_are_in_an_operations_text():
    slot = {"op": "warmer", "where": "left half", "amount": "slight", "mood": "gloomy"}
    (warmer,) = assessed(slot).operations
    assert (warmer.target, warmer.value) == ("left half", "slight gloomy")
    assert warmer.box == (0, 0, 0.5, 1), "of the part"
    (whole,) = assessed({"op": "warmer"}).operations
    assert whole.box is None
    (removed,) = assessed(CAT | {"where": "left half", "value_colour": "blue"}).operations
    assert (removed.target, removed.value) == ("red cat left half", "")
    (painted,) = assessed(CAT | {"op": "recolour", "value_colour": "blue"}).operations
    assert (painted.target, painted.value) == ("red cat", "blue")
    assert painted.box == pytest.approx((0.1, 0.2, 0.3, 0.4))


def test_logits_of_any_height():
    assessment = assess(labels(CAT) * 1e4, BOXES, FIELDS, np.array([-1e6, 0], np.float32))
    assert assessment.reason == "target_not_found"
    assert assessment.confidence == pytest.approx(0, abs=1e-9)


def test_operations_that_the_checkpoint_does_not_make():
    assessment = assessed(CAT, unsupported=["remove", "move"])
    assert (assessment.reason, ops(assessment)) == ("unsupported", ["remove"])
    both = assessed({"op": "warmer"}, CAT, unsupported=["remove"])
    assert (both.reason, ops(both)) == ("unsupported", ["warmer", "remove"])
    assert assessed({"op": "warmer"}, unsupported=["remove"]).understood
    assert assessed({"op": "unknown"}, unsupported=["remove"]).reason == "unknown_instruction"
    of_a_kind = assessed(CAT, unsupported=["cat"])
    assert (of_a_kind.reason, ops(of_a_kind)) == ("unsupported", ["remove"])
    assert assessed(CAT, unsupported=["dog"]).understood
    part = {"op": "warmer", "where": "left half"}
    assert assessed(part, unsupported=["left half"]).reason == "unsupported"
    assert assessed(part, unsupported=["right half"]).understood
