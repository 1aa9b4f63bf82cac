"""The ablation as a command, and the calibration that it rests on, on a checkpoint of random
weights."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from benchmarks import quantisation
from benchmarks.fidelity import relative
from retouch_export.calibrate import calibrate, pairs
from retouch_export.gptq import importance
from retouch_export.policy import Tier, tier_of
from shape_pairs import calibration_pairs

# left out: recipes of what others here have, and a rounding that test_quantise.py and test_gptq.py
# hold
REPEATED = ("weighted", "search, tail 1", "feedback, tail 2")


@pytest.fixture()
def calibrated(folder):
    """The checkpoint with pairs to calibrate on."""
    calibration_pairs(folder / "calibration", count=2)
    yield folder
    shutil.rmtree(folder / "calibration")


def test_a_calibration_has_ranges_and_products_of_every_narrow_layer(calibrated, repository):
    once, both = (calibrate(repository, pairs(calibrated)[:count]) for count in (1, 2))
    assert set(both) == {"reference", "step"}
    for graph, modules in both.items():
        assert any(tier_of(module, "fp4") is Tier.NVFP4 for module in modules)
        for module, statistics in modules.items():
            squares = importance(statistics.products)
            before = importance(once[graph][module].products)
            assert statistics.largest >= once[graph][module].largest > 0
            assert (squares >= before).all() and squares.max() > before.max()
            assert squares.max() >= statistics.largest**2 * 0.999


def test_recipes_side_by_side(calibrated, repository, tmp_path, capsys, monkeypatch):
    recipes = {name: how for name, how in quantisation.RECIPES.items() if name not in REPEATED}
    assert len(recipes) == len(quantisation.RECIPES) - len(REPEATED)
    monkeypatch.setattr(quantisation, "RECIPES", recipes)
    before = sorted(repository.iterdir())
    quantisation.main(
        [
            "--checkpoint",
            str(calibrated),
            "--repository",
            str(repository),
            "--scenes",
            "2",
            "--json",
            str(tmp_path / "out" / "ablation.json"),
        ]
    )
    told_words = capsys.readouterr().out
    document = json.loads((tmp_path / "out" / "ablation.json").read_text())
    assert document["scenes"] == 2 and list(document["recipes"]) == list(quantisation.RECIPES)
    rows = document["recipes"]
    assert all(name in told_words for name in rows)
    assert [name for name, row in rows.items() if row["shipped"]] == ["feedback, tail 1"]
    assert rows["nearest"]["bytes"] == rows["feedback"]["bytes"]
    assert sum(rows["feedback"]["bytes"].values()) < sum(rows["feedback, tail 1"]["bytes"].values())
    assert rows["search"]["weights"] < rows["nearest"]["weights"] < 0.15
    assert all(
        0 < error < 0.5 for row in rows.values() for error in (*row["velocity"], row["latents"])
    )
    assert sorted(repository.iterdir()) == before


def test_a_relative_error_is_of_squared_sums():
    ours = [np.array([3.0, 0.0]), np.array([0.0])]
    theirs = [np.array([0.0, 0.0]), np.array([6.0])]
    assert relative(ours, theirs) == pytest.approx((45 / 36) ** 0.5)
