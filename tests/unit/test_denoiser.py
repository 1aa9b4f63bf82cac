"""The edit's loop over graphs that are simple functions."""

from types import SimpleNamespace

import numpy as np
import pytest

from retouch.denoiser import Denoiser
from retouch.latents import pack
from retouch.preview import PreviewMap

SETTINGS = {"shift": 3.0, "default_steps": 5, "patch": 2, "slots": 2}
CLEAN = 0.25  # what the fake transformer takes every token for
CONDITIONING = np.zeros((4, 6), np.float32)


class Graph:
    """Stands in for an OnnxRunner and keeps what it was fed."""

    def __init__(self, folder, graph, keep=()):
        self.graph, self.manifest, self.fed = graph, SimpleNamespace(settings=SETTINGS), []

    def run(self, **inputs):
        self.fed.append(inputs)
        if self.graph == "reference":
            return {"k": inputs["tokens"], "v": inputs["tokens"]}
        return {"velocity": (inputs["tokens"] - CLEAN) / inputs["timestep"][:, None, None]}


@pytest.fixture
def stage(monkeypatch):
    monkeypatch.setattr(PreviewMap, "load", lambda folder: PreviewMap(np.zeros((12, 48)), np.zeros(48)))
    return Denoiser("folder", Graph)


@pytest.fixture
def latents():
    return np.random.default_rng(0).standard_normal((3, 4, 6), np.float32)  # 2×3 cells


def test_the_region_changes_and_nothing_else(stage, latents):
    region = np.array([0, 1, 0, 0, 1, 1], bool)
    *steps, last = stage.run(latents, CONDITIONING, region, seed=1, steps=4, previews=2)
    assert [(each.step, each.steps) for each in (*steps, last)] == [(i, 4) for i in (1, 2, 3, 4)]
    assert all(each.latents is None for each in steps)
    before, after = pack(latents[None], 2)[0], pack(last.latents[None], 2)[0]
    np.testing.assert_array_equal(after[~region], before[~region])
    np.testing.assert_allclose(after[region], CLEAN, atol=1e-6)
    assert [each.step for each in steps if each.preview is not None] == [1, 3]
    assert last.preview is None and steps[0].preview.shape == (8, 12, 3)
    assert len(stage._reference.fed) == 1
    assert all(fed["tokens"].shape == (1, 3, 12) for fed in stage._step.fed)


def test_a_region_takes_its_rows_of_the_seeds_noise(stage, latents):
    region = np.array([0, 0, 1, 0, 0, 1], bool)
    next(stage.run(latents, CONDITIONING, region, seed=5))
    next(stage.run(latents, CONDITIONING, np.ones(6, bool), seed=5))
    some, whole = (fed["tokens"][0] for fed in stage._step.fed)
    np.testing.assert_array_equal(some, whole[region])


def test_default_steps_and_closing(stage, latents):
    progress = stage.run(latents, CONDITIONING, np.ones(6, bool), seed=1)
    assert next(progress).steps == SETTINGS["default_steps"]
    progress.close()
    assert len(stage._step.fed) == 1 and next(progress, None) is None


def test_an_empty_region_is_the_source(stage, latents):
    *_, last = stage.run(latents, CONDITIONING, np.zeros(6, bool), seed=1, steps=3)
    np.testing.assert_array_equal(last.latents, latents)
    assert not stage._step.fed


def test_a_source_that_was_seen_ahead_is_not_computed_again(stage, latents):
    stage.look("ticket", latents)
    *_, ahead = stage.run(latents, CONDITIONING, np.ones(6, bool), seed=1, steps=2, ticket="ticket")
    assert len(stage._reference.fed) == 1
    *_, again = stage.run(latents, CONDITIONING, np.ones(6, bool), seed=1, steps=2, ticket="ticket")
    assert len(stage._reference.fed) == 2, "a ticket counts once"
    np.testing.assert_array_equal(ahead.latents, again.latents)


def test_what_is_seen_ahead_for_nobody_goes(stage, latents):
    stage.look("left", latents)
    stage.forget("left")
    for number in range(1000):
        stage.look(str(number), latents)
    assert 0 < len(stage._seen) <= 64


def test_boxes_place_the_conditioning(stage, latents):
    boxes = np.full((2, 2, 4), [0, 0, 1, 1], np.float32)
    next(stage.run(latents, CONDITIONING, np.ones(6, bool), seed=1, boxes=boxes))
    ids = stage._step.fed[0]["conditioning_ids"]
    assert ids.shape == (1, 4, 4) and ids[0, :, 1:3].tolist() == [[0.5, 1.0]] * 4
