"""Planned faults and the evaluator's examples: each fault is there, and where it is meant to be."""

from __future__ import annotations

import random
from itertools import islice

import numpy as np
import pytest

from training import scenes
from training.example import changed
from training.photo.judge import colour_difference
from training.quality import examples, figures
from training.quality.faults import FAULTS, LEAST_FAULT, cells_of, region_of, spoiled
from training.render import render
from training.scenes import BUCKETS
from training.worlds import ShapesSource


@pytest.fixture(scope="module")
def edits():
    """Edits of drawn scenes, by picture."""
    rng = random.Random(5)
    groups = []
    for number in range(12):
        scene = scenes.draw_scene(rng, BUCKETS[number % 3])
        drawing = render(scene)
        groups.append(examples.edits_of(rng, ShapesSource(drawing.pixels, scene, drawing)))
    return groups


def answers(edits, name, tries=3):
    """Pairs of an edit and its spoiled answer."""
    rng = random.Random(name)
    for group in edits:
        for example in group:
            others = [edit for edit in group if edit is not example]
            for _ in range(tries):
                answer = spoiled(rng, name, example, others)
                if answer is not None:
                    yield example, answer


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_can_be_planned_and_is_one(edits, name):
    pairs = list(islice(answers(edits, name), 20))
    assert pairs, "no edit can be spoiled so"
    for example, answer in pairs:
        assert answer.shape == example.target.shape and answer.dtype == np.uint8
        assert (answer != example.target).any()
        if FAULTS[name].needs_change:
            inside = changed(example.source, example.target) | changed(example.source, answer)
            assert colour_difference(answer, example.target, inside) >= LEAST_FAULT


@pytest.mark.parametrize("name", ["artefacts", "blur", "noise", "seams"])
def test_what_spoils_the_result_stays_in_the_region(edits, name):
    for example, answer in islice(answers(edits, name), 20):
        region = region_of(example)
        assert not (cells_of((answer != example.target).any(-1)) & ~region).any()


def test_drift_is_outside_of_the_region_alone(edits):
    for example, answer in islice(answers(edits, "drift outside"), 20):
        assert not (cells_of((answer != example.target).any(-1)) & region_of(example)).any()


def test_examples_are_good_and_spoiled_and_repeat_with_their_seed(edits):
    def drawn(seed):
        rng = random.Random(seed)
        for number in range(8):
            scene = scenes.draw_scene(rng, BUCKETS[number % 3])
            drawing = render(scene)
            yield from examples.of_picture(rng, ShapesSource(drawing.pixels, scene, drawing))

    rows = list(drawn(1))
    assert {row.score for row in rows} == {0.0, 1.0} and not any(row.is_photo for row in rows)
    again = list(drawn(1))
    assert all((one.answer == other.answer).all() for one, other in zip(rows, again, strict=True))
    for row in rows:
        assert row.region.any() and row.reading.any(-1)[0]
        assert (row.fault == examples.GOOD) == (row.score == 1)
        assert row.boxes.min() >= 0 and row.boxes.max() <= 1


def test_auc_is_the_share_of_pairs_in_order():
    good = np.array([True, True, False, False])
    assert figures.auc(np.array([0.9, 0.8, 0.2, 0.1]), good) == 1
    assert figures.auc(np.array([0.9, 0.2, 0.8, 0.1]), good) == 0.75
    assert figures.auc(np.array([0.5, 0.5, 0.5, 0.5]), good) == 0.5
    assert figures.auc(np.array([0.5, 0.4]), np.array([True, True])) is None


def test_auc_is_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    good = rng.random(200) < 0.3
    scores = np.round(rng.random(200) + 0.3 * good, 1)  # with ties
    assert figures.auc(scores, good) == pytest.approx(metrics.roc_auc_score(good, scores))
