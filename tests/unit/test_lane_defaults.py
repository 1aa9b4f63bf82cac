"""Defaults of a lane: options of an export, what an adapter's name says, and what takes them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from diffusers import FlowMatchEulerDiscreteScheduler

from retouch.families.registry import family_of
from retouch_export.lane_defaults import (
    LIGHTNING_SCHEDULER,
    LaneOptions,
    applied,
    chosen_text,
    known_of,
    merged,
)

QWEN = {
    "patch": 2,
    "area": 1024 * 1024,
    "axes": [16, 56, 56],
    "scheduler": {"use_dynamic_shifting": True, "shift_terminal": 0.02},
    "photos": 3,
    "negative": " ",
    "default_steps": 50,
    "default_true_cfg": 4.0,
}
KLEIN = {"scheduler": {"use_dynamic_shifting": True}, "is_distilled": True, "default_steps": 4}
LIGHTNING = "Qwen-Image-Edit-2511-Lightning-4steps-V1.0-bf16.safetensors"
SIGMAS = (1.0, 0.8, 0.5, 0.1)


def test_a_lanes_family_has_its_defaults():
    assert family_of("qwen-image-edit", QWEN).defaults() == {"steps": 50, "true_cfg": 4.0}
    chosen = LaneOptions(steps=4, true_cfg=1.0).chosen()
    settings = applied("qwen-image-edit", QWEN, chosen)
    assert settings["defaults"] == chosen == {"steps": 4, "true_cfg": 1.0}
    assert family_of("qwen-image-edit", settings).defaults() == chosen
    assert applied("qwen-image-edit", QWEN, {}) == QWEN
    assert family_of("flux2-klein", KLEIN).defaults() == {"steps": 4}


@pytest.mark.parametrize("steps", (4, 6))
def test_sigmas_are_the_pipelines_argument(steps):
    """For as many steps, before the scheduler's shift; any other number has even ones."""
    chosen = LaneOptions(sigmas=SIGMAS).chosen()
    family = family_of("qwen-image-edit", applied("qwen-image-edit", QWEN, chosen))
    assert family.defaults() == {"steps": 4, "true_cfg": 4.0, "sigmas": list(SIGMAS)}
    scheduler = FlowMatchEulerDiscreteScheduler(**QWEN["scheduler"])
    levels = SIGMAS if steps == 4 else np.linspace(1.0, 1 / steps, steps)
    scheduler.set_timesteps(sigmas=list(levels), mu=family.schedule.mu(1024))
    np.testing.assert_allclose(family.sigmas(steps, 1024), scheduler.sigmas, rtol=0, atol=1e-6)


@pytest.mark.parametrize("steps", (4, 8))
def test_a_scheduler_of_its_own(tmp_path, steps):
    """Lightning's has a fixed shift of 3, whatever the size."""
    path = tmp_path / "scheduler_config.json"
    path.write_text(json.dumps(LIGHTNING_SCHEDULER))
    chosen = LaneOptions(scheduler=path).chosen()
    family = family_of("qwen-image-edit", applied("qwen-image-edit", QWEN, chosen))
    scheduler = FlowMatchEulerDiscreteScheduler.from_config(LIGHTNING_SCHEDULER)
    for cells in (100, 4096):
        scheduler.set_timesteps(
            sigmas=np.linspace(1.0, 1 / steps, steps), mu=family.schedule.mu(cells)
        )
        ours = family.sigmas(steps, cells)
        np.testing.assert_allclose(ours, scheduler.sigmas, rtol=0, atol=1e-6)
        even = np.linspace(1.0, 1 / steps, steps)
        np.testing.assert_allclose(ours[:-1], 3 * even / (1 + 2 * even), rtol=1e-6)
    path.write_text(json.dumps(LIGHTNING_SCHEDULER | {"use_karras_sigmas": True}))
    with pytest.raises(ValueError, match="use_karras_sigmas"):
        LaneOptions(scheduler=path).chosen()


@pytest.mark.parametrize(
    "name, steps",
    (
        (LIGHTNING, 4),
        ("Qwen-Image-Lightning-8steps-V1.1.safetensors", 8),
        ("lightning_16_step.safetensors", 16),
        ("my-style-2000steps.safetensors", None),
        ("lightning.safetensors", None),
    ),
)
def test_an_adapters_name_says_its_steps(name, steps):
    known = known_of(name, "qwen-image-edit")
    assert known.get("steps") == steps
    if steps:
        assert known["true_cfg"] == 1.0 and known["scheduler"] == LIGHTNING_SCHEDULER
        assert "scheduler" not in known_of(name, "flux2-klein")


def test_options_precede_what_was_chosen_before():
    known = known_of(LIGHTNING, "qwen-image-edit")
    assert merged(known, {"steps": 8})["steps"] == 8
    assert merged({"steps": 4, "true_cfg": 1.0}, {}) == {"steps": 4, "true_cfg": 1.0}
    assert merged({"steps": 4, "true_cfg": 1.0}, {"steps": 0}) == {"true_cfg": 1.0}
    before = {"steps": 4, "sigmas": list(SIGMAS)}
    assert merged(before, {"true_cfg": 2.0}) == before | {"true_cfg": 2.0}
    assert merged(before, {"steps": 6}) == {"steps": 6}  # they are four
    assert chosen_text(merged(known, {})) == "steps 4, true_cfg 1.0, scheduler"
    assert chosen_text({}) == "the checkpoint's"


@pytest.mark.parametrize(
    "options, message",
    (
        ({"steps": 51}, "--steps is 51; it must be from 0 to 50"),
        ({"true_cfg": math.inf}, "--true-cfg is inf; it must be a finite number from 0 to 10"),
        ({"guidance": -1.0}, "--guidance is -1"),
        ({"sigmas": (0.5, 0.5)}, "must fall from number to number"),
        ({"sigmas": (1.0, 0.0)}, "be above 0"),
        ({"sigmas": (1.5, 1.0)}, "begins above 1"),
        ({"sigmas": (1.0, math.nan)}, "must fall"),
        ({"sigmas": SIGMAS, "steps": 3}, "--sigmas has 4 numbers and --steps is 3"),
    ),
)
def test_options_out_of_their_limits(options, message):
    with pytest.raises(ValueError, match=message):
        LaneOptions(**options)


def test_what_a_family_does_not_take():
    with pytest.raises(ValueError, match="--guidance is not known to this checkpoint"):
        applied("qwen-image-edit", QWEN, {"guidance": 2.5})
    with pytest.raises(ValueError, match="--true-cfg above 1 is not known"):
        applied("flux2-klein", KLEIN, {"true_cfg": 4.0})
    assert applied("flux2-klein", KLEIN, {"true_cfg": 1.0, "steps": 8})["default_steps"] == 8
