"""The figures of an evaluation, from verdicts made up here, and how they are shown."""

from __future__ import annotations

import io
import json
import random

import numpy as np
import pytest
from rich.console import Console

from training.figures import Outcome, figures
from training.judge import Judgement
from training.lane import Answer
from training.likeness import Likeness
from training.scenes import draw_pair
from training.table import show
from training.worst import contact_sheet, worst_scenes

GOOD = Judgement(1, 1, 1, 0)
LOOSE = Judgement(1, 1, 0.5, 30)
BAD = Judgement(0.5, 1, 1, 0)
KINDS = ("recolour", "recolour", "remove", "add")


@pytest.fixture(scope="module")
def scenes():
    rng = random.Random(0)
    return [draw_pair(rng, (128, 128), kind) for kind in KINDS]


def outcome(verdicts, likenesses=(), bytes=None, steps=(0.1, 0.2, 0.3)):
    pixels = np.zeros((128, 128, 3), np.uint8)
    answers = [
        Answer(pixels, verdict, seconds, steps) for seconds, verdict in enumerate(verdicts, start=1)
    ]
    return Outcome(
        bytes or {"bf16": 4_000_000}, answers, [Likeness(*values) for values in likenesses]
    )


@pytest.fixture()
def outcomes():
    return {
        "bf16": outcome([GOOD, LOOSE, GOOD, BAD]),
        "fp8": outcome(
            [GOOD, BAD, GOOD, BAD],
            [(0.01, 4), (0.3, 1), (0, 0), (0.02, 0)],
            bytes={"bf16": 500_000, "fp8": 1_750_000},
        ),
        "fp4": outcome(
            [GOOD] * 4, [(0, 0)] * 4, bytes={"bf16": 500_000, "fp8": 250_000, "nvfp4": 900_000}
        ),
    }


def test_quality(scenes, outcomes):
    lanes = figures(scenes, outcomes)["lanes"]
    assert [lane["success"] for lane in lanes.values()] == [0.75, 0.5, 1.0]
    assert [lane["loss_points"] for lane in lanes.values()] == [0, 25, -25]
    assert [(lane["scenes_lost"], lane["scenes_won"]) for lane in lanes.values()] == [
        (0, 0),
        (1, 0),
        (0, 1),
    ]
    assert [lane["strict_success"] for lane in lanes.values()] == [0.5, 0.5, 1.0]
    assert lanes["fp8"]["operations"]["recolour"] == {
        "scenes": 2,
        "success": 0.5,
        "inside": 0.75,
        "outside": 1,
        "drift": 0,
    }
    assert list(lanes["fp8"]["operations"]) == ["recolour", "remove", "add", "all"]


def test_likeness_to_the_reference(scenes, outcomes):
    lanes = figures(scenes, outcomes)["lanes"]
    fp8 = lanes["fp8"]
    fp4 = lanes["fp4"]
    assert (fp8["lpips_mean"], fp8["lpips_worst"]) == (pytest.approx(0.0825), 0.3)
    assert (fp8["worst_scene"], fp8["worst_instruction"]) == (1, scenes[1].instruction)
    assert fp8["psnr_mean"] == pytest.approx(47.16, abs=0.005)  # 20 log10(255) - 10 log10(5 / 4)
    assert fp8["psnr_worst"] == pytest.approx(42.11, abs=0.005)  # 20 log10(255 / 2)
    assert (fp8["identical"], fp4["identical"], fp4["psnr_mean"], fp4["psnr_worst"]) == (
        2,
        4,
        None,
        None,
    )
    assert "lpips_mean" not in lanes["bf16"]


def test_cost(scenes, outcomes):
    lanes = figures(scenes, outcomes)["lanes"]
    assert lanes["fp8"]["bytes"] == {"bf16": 500_000, "fp8": 1_750_000}
    assert (lanes["fp8"]["seconds_per_edit"], lanes["fp8"]["seconds_per_step"]) == (2.5, 0.2)
    alone = {"bf16": outcome([GOOD] * 4, steps=())}
    assert figures(scenes, alone)["lanes"]["bf16"]["seconds_per_step"] is None


def test_what_is_written_is_json(scenes, outcomes):
    results = figures(scenes, outcomes)
    assert json.loads(json.dumps(results, allow_nan=False)) == results


def test_three_lanes_fit_eighty_columns(scenes, outcomes):
    console = Console(file=io.StringIO(), width=80)
    show(figures(scenes, outcomes), console)
    output = console.file.getvalue()
    rows = {line.split()[0]: line.split() for line in reversed(output.splitlines()) if line.split()}
    assert rows["fp8"][:8] == ["fp8", "50.0%", "25.0", "50.0%", "0.0825", "0.3000", "47.2", "42.1"]
    assert rows["fp8"][8:] == ["2.25", "2500.0", "200.0"]
    assert rows["fp4"][4:8] == ["0.0000", "0.0000", "∞", "∞"]
    assert rows["recolour"][:5] == ["recolour", "2", "100.0%", "50.0%", "100.0%"]
    text = " ".join(output.split())
    assert "…" not in text and "0.50 MB bf16 + 1.75 MB fp8" in text
    assert (
        "fp8: 1 scenes lost and 0 won, 2 pictures identical; furthest from bf16 is scene 1, "
        in text
    )


def test_the_sheet_shows_the_worst_of_every_lane_first(scenes, outcomes):
    one = [Likeness(lpips, 0) for lpips in (0.1, 0.5, 0.4, 0.2)]
    other = [Likeness(lpips, 0) for lpips in (0.3, 0.0, 0.0, 0.0)]
    assert worst_scenes([one, other], count=3) == [1, 0, 2]
    assert worst_scenes([one]) == [1, 2, 3, 0]


def test_the_sheet_has_a_row_a_scene_and_a_column_a_lane(scenes, outcomes):
    two = {lane: outcomes[lane] for lane in ("bf16", "fp4")}
    narrow = contact_sheet(scenes, two)
    wide = contact_sheet(scenes, outcomes)
    short = contact_sheet(scenes[:1], {"bf16": outcome([GOOD]), "fp4": outcome([GOOD], [(0, 0)])})
    assert wide.height == narrow.height == 4 * short.height
    assert wide.width - narrow.width > 128
