"""The denoiser over graphs that are simple functions."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from retouch.backends.base import joined
from retouch.diffusion.latents import pack
from retouch.diffusion.preview import PreviewMap
from retouch.engine.denoiser import Denoiser
from retouch.families.denoise_request import DenoiseRequest

SETTINGS = {"shift": 3.0, "default_steps": 5, "patch": 2, "slots": 2}
CLEAN = 0.25  # what the fake transformer takes every token for
CONDITIONING = {
    "prompt_embeds": np.zeros((4, 6), np.float32),
    "boxes": np.zeros((2, 2, 4), np.float32),
}
WHOLE = np.ones(6, bool)


class Graph:
    """Stands in for an OnnxBackend and keeps what it was fed."""

    def __init__(self, folder, graph, keep=()):
        self.workers = 1
        self.graph = graph
        self.manifest = SimpleNamespace(settings=SETTINGS, family="instructx")
        self.fed = []

    def run(self, **inputs):
        inputs = {name: joined(value) for name, value in inputs.items()}
        self.fed.append(inputs)
        if self.graph == "reference":
            return {"k": inputs["tokens"], "v": inputs["tokens"]}
        return {"velocity": (inputs["tokens"] - CLEAN) / inputs["timestep"][:, None, None]}


@pytest.fixture
def stage(monkeypatch):
    monkeypatch.setattr(
        PreviewMap, "load", lambda folder: PreviewMap(np.zeros((12, 48)), np.zeros(48))
    )
    return Denoiser("folder", Graph)


@pytest.fixture
def latents():
    return picture(0)


def conditioning_of(number):
    return CONDITIONING | {"prompt_embeds": CONDITIONING["prompt_embeds"] + number}


def picture(seed):
    return np.random.default_rng(seed).standard_normal((3, 4, 6), np.float32)  # 2×3 cells


def test_the_region_changes_and_nothing_else(stage, latents):
    region = np.array([0, 1, 0, 0, 1, 1], bool)
    *steps, last = stage.run(
        DenoiseRequest(latents, CONDITIONING, region, seed=1, steps=4, previews=2)
    )
    assert [(update.step, update.steps) for update in (*steps, last)] == [
        (i, 4) for i in (1, 2, 3, 4)
    ]
    assert all(update.latents is None for update in steps)
    before = pack(latents[None], 2)[0]
    after = pack(last.latents[None], 2)[0]
    np.testing.assert_array_equal(after[~region], before[~region])
    np.testing.assert_allclose(after[region], CLEAN, atol=1e-6)
    assert [update.step for update in steps if update.preview is not None] == [1, 3]
    assert last.preview is None and steps[0].preview.shape == (8, 12, 3)
    assert len(stage._reference.fed) == 1
    assert all(fed["tokens"].shape == (1, 3, 12) for fed in stage._step.fed)


def test_a_region_takes_its_rows_of_the_seeds_noise(stage, latents):
    region = np.array([0, 0, 1, 0, 0, 1], bool)
    next(stage.run(DenoiseRequest(latents, CONDITIONING, region, seed=5)))
    next(stage.run(DenoiseRequest(latents, CONDITIONING, WHOLE, seed=5)))
    some, whole = (fed["tokens"][0] for fed in stage._step.fed)
    np.testing.assert_array_equal(some, whole[region])


def test_default_steps_and_closing(stage, latents):
    progress = stage.run(DenoiseRequest(latents, CONDITIONING, WHOLE, seed=1))
    assert next(progress).steps == SETTINGS["default_steps"]
    progress.close()
    assert len(stage._step.fed) == 1 and next(progress, None) is None


def test_an_empty_region_is_the_source(stage, latents):
    *_, last = stage.run(DenoiseRequest(latents, CONDITIONING, ~WHOLE, seed=1, steps=3))
    np.testing.assert_array_equal(last.latents, latents)
    assert not stage._step.fed and not stage._reference.fed


def test_a_source_is_seen_once(stage, latents):
    stage.prefill(latents)
    for seed in (1, 2):
        *_, last = stage.run(
            DenoiseRequest(latents.copy(), CONDITIONING, WHOLE, seed=seed, steps=2)
        )
    assert len(stage._reference.fed) == 1
    next(stage.run(DenoiseRequest(picture(1), CONDITIONING, WHOLE, seed=1)))
    assert len(stage._reference.fed) == 2
    assert (stage.references.counts.hits, stage.references.counts.misses) == (2, 2)


def test_sources_that_nobody_uses_are_forgotten(monkeypatch, latents):
    monkeypatch.setattr(
        PreviewMap, "load", lambda folder: PreviewMap(np.zeros((12, 48)), np.zeros(48))
    )
    bytes_of_one = 2 * latents.nbytes
    stage = Denoiser("folder", Graph, reference_bytes=3 * bytes_of_one)
    running = stage.begin(DenoiseRequest(picture(0), CONDITIONING, WHOLE, seed=1))
    stage.step([running])
    for seed in range(1, 20):
        stage.prefill(picture(seed))
    assert stage.references.counts.bytes == 3 * bytes_of_one
    stage.prefill(picture(0))
    assert len(stage._reference.fed) == 20, "one in use stays"
    stage.end(running)
    stage.end(running)
    for seed in range(20, 23):
        stage.prefill(picture(seed))
    stage.prefill(picture(0))
    assert len(stage._reference.fed) == 24


def test_edits_of_one_size_share_a_step(stage):
    """Other sources, seeds, regions of as many cells, time steps and totals."""
    requests = [
        DenoiseRequest(
            picture(i),
            conditioning_of(i),
            np.roll([1, 1, 0, 1, 0, 0], i).astype(bool),
            seed=i,
            steps=2 + i,
        )
        for i in range(3)
    ]
    alone = [list(stage.run(request)) for request in requests]
    fed = len(stage._step.fed)
    edits = [stage.begin(request) for request in requests]
    assert len({edit.batch_key for edit in edits}) == 1
    stage.step([edits[2]])
    together = stage.step(edits)
    assert len(stage._step.fed) == fed + 2 and stage._step.fed[-1]["tokens"].shape[0] == 3
    assert [(update.step, update.steps) for update in together] == [(1, 2), (1, 3), (2, 4)]
    *_, last = stage.step(edits[:1])
    np.testing.assert_array_equal(last.latents, alone[0][-1].latents)


def test_an_edit_that_reuses_its_velocity_leaves_the_others_alone(stage):
    """The fake network's velocity is the same all the way: with a threshold only the first two
    steps and the last run."""
    plain = DenoiseRequest(picture(0), CONDITIONING, WHOLE, seed=1, steps=8, previews=3)
    thrifty = replace(plain, seed=2, step_cache=0.2)
    *_, alone = stage.run(plain)
    edits = [stage.begin(plain), stage.begin(thrifty)]
    fed = len(stage._step.fed)
    done = [stage.step(edits) for _ in range(8)]
    assert [len(inputs["tokens"]) for inputs in stage._step.fed[fed:]] == [2, 2, 1, 1, 1, 1, 1, 2]
    assert [progress.reused for _, progress in done] == [False, False, *[True] * 5, False]
    np.testing.assert_array_equal(done[-1][0].latents, alone.latents)
    np.testing.assert_allclose(done[-1][1].latents, CLEAN, atol=1e-5)
    assert [progress.preview is not None for _, progress in done] == [
        update.preview is not None for update, _ in done
    ]


def test_what_only_rounds_a_region_up_comes_back_as_it_was(monkeypatch):
    monkeypatch.setattr(
        PreviewMap, "load", lambda folder: PreviewMap(np.zeros((12, 48)), np.zeros(48))
    )
    stage = Denoiser("folder", Graph)
    latents = np.random.default_rng(0).standard_normal((3, 16, 16), np.float32)
    region = np.isin(np.arange(64), range(9))
    *_, last = stage.run(DenoiseRequest(latents, CONDITIONING, region, seed=1, steps=2))
    assert stage._step.fed[0]["tokens"].shape == (1, 10, 12)
    np.testing.assert_array_equal(
        pack(last.latents[None], 2)[0][~region], pack(latents[None], 2)[0][~region]
    )


def test_boxes_place_the_conditioning(stage, latents):
    boxes = np.full((2, 2, 4), [0, 0, 1, 1], np.float32)
    next(stage.run(DenoiseRequest(latents, CONDITIONING | {"boxes": boxes}, WHOLE, seed=1)))
    ids = stage._step.fed[0]["conditioning_ids"]
    assert ids.shape == (1, 4, 4) and ids[0, :, 1:3].tolist() == [[0.5, 1.0]] * 4


def test_further_references_count_as_what_a_step_sees(monkeypatch, stage):
    """For the bounds on work and memory; what is spared are target tokens alone."""
    monkeypatch.setattr(type(stage.family), "max_references", 2)
    region = np.array([0, 1, 0, 0, 0, 0], bool)
    alone = stage.begin(DenoiseRequest(picture(0), CONDITIONING, region, seed=1))
    beside = stage.begin(
        DenoiseRequest(
            picture(0), CONDITIONING, region, seed=1, extra_references=(picture(1), picture(2))
        )
    )
    assert (alone.batch_key.reference_tokens, beside.batch_key.reference_tokens) == (6, 18)
    assert alone.skipped_tokens == beside.skipped_tokens == 6 - len(alone.cells)


@pytest.fixture
def finding(monkeypatch):
    """A denoiser whose network predicts its `clean` tokens [64, 12] of 8 × 8 cells, by step."""
    monkeypatch.setattr(
        PreviewMap, "load", lambda folder: PreviewMap(np.zeros((12, 48)), np.zeros(48))
    )
    stage = Denoiser("folder", Graph)
    clean = []

    def run(**inputs):
        return {"velocity": (joined(inputs["tokens"]) - clean.pop(0)) / joined(inputs["timestep"])}

    monkeypatch.setattr(stage._step, "run", run)
    return stage, clean


def changed_in(source, *cells):
    """The source's tokens with others in some cells, and everywhere a little noise."""
    noise = np.random.default_rng(2).normal(0, 0.01, source.shape).astype(np.float32)
    noise[list(cells)] += 3
    return source + noise


def square(top, left):
    """The four cells of a square."""
    return [8 * (top + down) + left + right for down in (0, 1) for right in (0, 1)]


EARLY = square(1, 1)
LATE = square(5, 5)


@pytest.mark.parametrize(
    "by_step, corners",
    (
        ([EARLY] * 4, [EARLY]),
        ([EARLY, EARLY, EARLY, EARLY + LATE], [EARLY, LATE]),
        ([range(64), EARLY, EARLY, EARLY], [EARLY]),
        ([EARLY, EARLY, EARLY, range(64)], []),
    ),
    ids=("early", "a part changes later", "the last step decides", "at last not sure"),
)
def test_a_region_that_is_looked_for(finding, by_step, corners):
    """The other cells keep the source image's tokens, bit for bit."""
    stage, clean = finding
    latents = np.random.default_rng(0).standard_normal((3, 16, 16), np.float32)
    source = pack(latents[None], 2)[0]
    clean += [changed_in(source, *cells) for cells in by_step]
    request = DenoiseRequest(
        latents, CONDITIONING, np.ones(64, bool), seed=1, steps=4, find_region=True
    )
    first, *_, last = stage.run(request)
    expected = np.zeros((8, 8), bool)
    for cells in corners:
        top, left = divmod(cells[0], 8)
        expected[top - 1 : top + 3, left - 1 : left + 3] = True  # with the margin
    expected |= not corners
    np.testing.assert_array_equal(last.cells.reshape(8, 8), expected)
    np.testing.assert_array_equal(last.tensors()["CELLS"], last.cells)
    np.testing.assert_array_equal(pack(last.latents[None], 2)[0][~last.cells], source[~last.cells])
    assert first.cells.all() == (by_step[0] is not EARLY)


def test_without_being_asked_no_region_is_looked_for(finding):
    stage, clean = finding
    latents = np.random.default_rng(0).standard_normal((3, 16, 16), np.float32)
    clean += [changed_in(pack(latents[None], 2)[0], *EARLY)] * 2
    *_, last = stage.run(DenoiseRequest(latents, CONDITIONING, np.ones(64, bool), seed=1, steps=2))
    assert last.cells is None and "CELLS" not in last.tensors()
