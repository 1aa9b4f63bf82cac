"""Who steps next: order, deadlines, shared steps, and that nobody starves."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as some

from retouch.engine.cost_model import Cost
from retouch.engine.scheduler import (
    AGEING,
    MAX_BATCH,
    MAX_STEP_BYTES,
    BatchKey,
    remaining_seconds,
    schedule,
)

LINEAR = Cost(step=0.0, edit=0.0, token=1e-3, pair=0.0)  # sharing a step gains nothing
FLAT = Cost(
    step=1e-2, edit=0.0, token=0.0, pair=0.0
)  # a step costs the same for any number of edits
SMALL = BatchKey(4, 64)
LARGE = BatchKey(64, 64)


@dataclass
class Edit:
    batch_key: BatchKey = LARGE
    steps: int = 10
    admitted: float = 0.0
    deadline: float = math.inf
    priority: int = 0
    name: int = field(default=0)


edits = some.builds(
    Edit,
    some.sampled_from([SMALL, BatchKey(16, 64), LARGE]),
    some.integers(1, 50),
    some.floats(0, 100),
    some.one_of(some.just(math.inf), some.floats(0, 200)),
    some.integers(0, 1),
)
costs = some.builds(Cost, *[some.floats(1e-6, 1e-2)] * 4)


@given(some.lists(edits, min_size=1, max_size=30), costs, some.floats(100, 200))
def test_whoever_is_scheduled_can_share_a_step(waiting, cost, now):
    chosen = schedule(waiting, cost, now)
    assert 1 <= len(chosen) <= MAX_BATCH and all(edit in waiting for edit in chosen)
    assert len({(edit.batch_key, edit.priority) for edit in chosen}) == 1
    assert len(set(map(id, chosen))) == len(chosen)


@given(some.lists(edits, min_size=1, max_size=30), costs)
def test_a_higher_priority_goes_first(waiting, cost):
    assert schedule(waiting, cost, 100)[0].priority == max(edit.priority for edit in waiting)


def test_a_small_edit_passes_a_large_one():
    large = Edit(LARGE, 50)
    small = Edit(SMALL, 10)
    assert schedule([large, small], LINEAR, 0) == [small]


def test_one_that_is_nearly_done_is_finished_first():
    nearly = Edit(LARGE, 1)
    fresh = Edit(SMALL, 50)
    assert schedule([fresh, nearly], LINEAR, 0) == [nearly]


def test_what_would_miss_its_deadline_goes_first():
    large = Edit(LARGE, 10, deadline=remaining_seconds(Edit(LARGE, 10), LINEAR) * 1.2)
    assert schedule([Edit(SMALL, 1), large], LINEAR, 0) == [large]
    large.deadline *= 10
    assert schedule([Edit(SMALL, 1), large], LINEAR, 0) != [large]


def test_edits_share_a_step_only_where_it_pays():
    waiting = [Edit(SMALL, 10) for _ in range(MAX_BATCH + 4)]
    assert len(schedule(waiting, FLAT, 0)) == MAX_BATCH
    assert len(schedule(waiting, LINEAR, 0)) == 1
    assert len(schedule([Edit(SMALL), Edit(LARGE), Edit(SMALL)], FLAT, 0)) == 2, "of one size"


def test_free_workers_share_the_edits_out():
    waiting = [Edit(SMALL, 10) for _ in range(6)]
    assert [len(schedule(waiting, FLAT, 0, idle_workers=free)) for free in (1, 2, 3, 6, 9)] == [
        6,
        3,
        2,
        1,
        1,
    ]


def test_a_shared_step_holds_no_more_than_it_may():
    heavy = replace(FLAT, activation_bytes_per_token=MAX_STEP_BYTES / 68 / 2.5)
    assert len(schedule([Edit(SMALL) for _ in range(9)], heavy, 0)) == 2
    assert (
        len(schedule([Edit(SMALL)], replace(FLAT, activation_bytes_per_token=MAX_STEP_BYTES), 0))
        == 1
    )


@given(some.integers(2, 60), some.floats(0.1, 0.95), some.integers(1, 50))
def test_a_large_edit_does_not_starve(steps, load, small_steps):
    """However many small ones keep coming: what waits is passed only by those that came while it
    was young enough."""
    large = Edit(LARGE, steps)
    running = []
    clock = 0.0
    came = 0
    own = remaining_seconds(large, LINEAR)
    small = remaining_seconds(Edit(SMALL, small_steps), LINEAR)
    running.append(large)
    while large.steps:
        while came * small / load <= clock:
            running.append(Edit(SMALL, small_steps, admitted=came * small / load))
            came += 1
        for edit in schedule(running, LINEAR, clock):
            clock += LINEAR.seconds(
                1, edit.batch_key.target_tokens, edit.batch_key.reference_tokens
            )
            edit.steps -= 1
            if not edit.steps:
                running.remove(edit)
    passed = own / AGEING + small  # how long it can be passed by
    assert clock <= own + passed * max(load, 1) + (own + passed) * load + 2 * small
