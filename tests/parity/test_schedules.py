"""Whatever joins, leaves and is cancelled around an edit, and whoever shares its steps: it gets
what it gets alone.

The bound is equality, bit for bit, in every lane: a row of these graphs is rounded by itself. FP8's
scales are a tensor's, fixed at export; FP4's are found as it runs, but for blocks of 16 numbers of
one token."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from exports import exported
from retouch.api.lanes import LANES
from retouch.engine.cost_model import Cost
from retouch.engine.denoiser import Denoiser
from retouch.engine.edit_state import EditState
from retouch.engine.scheduler import schedule
from retouch.families.denoise_request import DenoiseRequest
from shape_pairs import calibration_pairs

CELLS = 64
REGIONS = ((9, 10), (40, 3), (0, 1, 2, 20, 63))  # two of one size can share a step
FORGETFUL = 1  # bytes for sources that no edit needs: each is computed again and again
SCHEDULES = {"bf16": 60, "fp8": 30, "fp4": 30}


@dataclass(frozen=True)
class Kind:
    """All that an edit's result may depend on."""

    source: int
    region: int
    seed: int
    steps: int
    cache: float


@dataclass(eq=False)
class Running:
    """An edit in a schedule, as the scheduler sees it, and what it has been given so far."""

    kind: Kind
    state: EditState
    updates: list
    admitted: float = 0.0
    deadline: float = float("inf")
    priority: int = 0

    @property
    def steps(self):
        return self.state.steps

    @property
    def batch_key(self):
        return self.state.batch_key


kinds = some.builds(
    Kind,
    some.integers(0, 1),
    some.integers(0, 2),
    some.integers(0, 1),
    some.sampled_from([1, 2, 3, 7]),
    some.sampled_from([0.0, 1.0]),
)
numbers = some.integers(0, 63)
joins = some.tuples(some.just("join"), kinds, some.none())
cancels = some.tuples(some.just("cancel"), numbers, some.none())
steps = some.tuples(some.just("step"), numbers, numbers)
# few cancels: most edits should be seen to their end
schedules = some.lists(
    some.one_of(joins, joins, joins, steps, steps, steps, cancels), min_size=6, max_size=14
)


@pytest.fixture(scope="module")
def lanes(folder, repository, tmp_path_factory):
    """A repository with all lanes."""
    path = tmp_path_factory.mktemp("lanes")
    shutil.copytree(folder, path / "checkpoint")
    shutil.copytree(repository, path / "repository")
    calibration_pairs(path / "checkpoint" / "calibration", count=2)
    exported(
        path / "checkpoint", "--repository", path / "repository", "--precision", ",".join(LANES)
    )
    return path / "repository"


class Schedule:
    """Edits of one denoiser, stepped by whoever writes the schedule."""

    def __init__(self, denoiser: Denoiser):
        self.denoiser = denoiser
        self.running = []
        self.over = []
        self.shared = 0

    def join(self, kind, _):
        self.running.append(
            Running(kind, self.denoiser.begin(denoise_request(self.denoiser, kind)), [])
        )

    def cancel(self, which, _):
        if self.running:
            self._end(self.running[which % len(self.running)])

    def step(self, which, fellows):
        """Whom chance takes: one edit, and of those that could share its step any."""
        if self.running:
            first = self.running[which % len(self.running)]
            could = [
                edit
                for edit in self.running
                if edit.batch_key == first.batch_key and edit is not first
            ]
            self._step([*(edit for i, edit in enumerate(could) if fellows >> i & 1), first])

    def finish(self, cost):
        """Whom the scheduler takes, until all are done."""
        while self.running:
            self._step(schedule(self.running, cost, 0.0))

    def _step(self, edits):
        self.shared += len(edits) > 1
        for edit, progress in zip(edits, self.denoiser.step([edit.state for edit in edits])):
            edit.updates.append(progress)
            if not edit.steps:
                self._end(edit)

    def _end(self, edit):
        self.running.remove(edit)
        self.over.append(edit)
        self.denoiser.end(edit.state)


def denoise_request(denoiser, kind):
    rng = np.random.default_rng(kind.source)
    patch = denoiser.settings["patch"]
    channels = denoiser.settings["latent_channels"]
    conditioning = denoiser.settings["conditioning"]
    region = np.isin(np.arange(CELLS), REGIONS[kind.region])
    latents = rng.standard_normal((channels, 8 * patch, 8 * patch), np.float32)
    embeds = {
        "prompt_embeds": rng.standard_normal(conditioning, np.float32),
        "boxes": np.zeros((denoiser.settings["slots"], 2, 4), np.float32),
    }
    return DenoiseRequest(
        latents,
        embeds,
        region,
        kind.seed,
        kind.steps,
        previews=kind.steps - 1,
        step_cache=kind.cache,
    )


@pytest.mark.parametrize("lane", LANES)
def test_every_edit_gets_what_it_gets_alone(lanes, lane):
    denoiser = Denoiser(lanes / f"denoiser_{lane}" / "1", reference_bytes=FORGETFUL)
    lonely = Denoiser(lanes / f"denoiser_{lane}" / "1")
    alone = cache(lambda kind: list(lonely.run(denoise_request(lonely, kind))))
    counted = {"schedules": 0, "whole": 0, "left": 0, "shared": 0, "reused": 0}

    @settings(max_examples=SCHEDULES[lane], deadline=None, derandomize=True)
    @given(
        schedules, some.sampled_from([Cost(), Cost(step=1.0)])
    )  # the second shares whatever can be shared
    def check(events, cost):
        schedule = Schedule(denoiser)
        for name, *details in events:
            getattr(schedule, name)(*details)
        schedule.finish(cost)
        for edit in schedule.over:
            assert_equal(edit.updates, alone(edit.kind)[: len(edit.updates)])
        assert denoiser.references.counts.bytes <= FORGETFUL, "nobody holds a source any longer"
        whole = sum(not edit.steps for edit in schedule.over)
        reused = sum(progress.reused for edit in schedule.over for progress in edit.updates)
        for name, count in zip(
            counted, (1, whole, len(schedule.over) - whole, schedule.shared, reused)
        ):
            counted[name] += count

    check()
    assert counted["schedules"] >= SCHEDULES[lane] and counted.pop("reused") > 0
    assert min(counted.values()) >= SCHEDULES[lane] / 4, counted


def assert_equal(actual, expected):
    for ours, theirs in zip(actual, expected, strict=True):
        assert (ours.step, ours.steps) == (theirs.step, theirs.steps)
        for name in ("preview", "latents"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)
