"""The denoiser's loop: who steps, failures, cancellation, deadlines, and what is told of it."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from retouch.api.errors import RequestError
from retouch.engine.admission import Limits
from retouch.engine.cost_model import Cost
from retouch.engine.edit import Edit
from retouch.engine.edit_state import Progress
from retouch.engine.engine import Engine
from retouch.engine.scheduler import BatchKey
from retouch.families.denoise_request import DenoiseRequest

MOST = Limits().edits
FLAT = Cost(step=1e-3, edit=0.0, token=0.0, pair=0.0)  # sharing a step costs nothing


class State:
    most_kept_bytes = 0

    def __init__(self, steps, tokens, fail):
        self.total = self.steps = steps
        self.batch_key = BatchKey(tokens, 64)
        self.skipped_tokens = 64 - tokens
        self.fail = fail


class Sized(State):
    """An edit of two steps on an image of so many tokens, which keeps bytes for its region."""

    def __init__(self, reference, kept=0):
        super().__init__(2, 4, False)
        self.batch_key = BatchKey(4, reference)
        self.most_kept_bytes = kept


class Denoiser:
    """Counts, and steps when it is let."""

    def __init__(self):
        self.ended = []
        self.seen = []
        self.stepped = []
        self.may = threading.Event()
        self.may.set()

    def begin(self, request):
        return State(*request)

    def end(self, state):
        self.ended.append(state)

    def prefill(self, latents, adapters=()):
        if latents is None:
            raise ValueError("broken")
        self.seen.append(latents)

    def step(self, states):
        assert self.may.wait(5)
        self.stepped.append(len(states))
        if any(state.fail for state in states):
            raise ValueError("broken")
        for state in states:
            state.steps -= 1
        return [Progress(state.total - state.steps, state.total) for state in states]


class Client:
    """An edit that records what came of it."""

    def __init__(self, steps=3, tokens=8, fail=False, **more):
        self.over = threading.Event()
        self.error = None
        self.gone = False
        self.steps = []
        self.edit = Edit(
            more.pop("request_id", ""),
            (steps, tokens, fail),
            self.emit,
            self.end,
            lambda: self.gone,
            **more,
        )

    def emit(self, progress):
        self.steps.append(progress.step)

    def end(self, failure):
        self.error = failure
        self.over.set()


@pytest.fixture
def denoiser():
    return Denoiser()


@pytest.fixture
def engine(denoiser):
    running = Engine(denoiser)
    yield running
    denoiser.may.set()
    running.stop()


def admit(engine, *clients):
    for client in clients:
        engine.admit(client.edit)


def ended(*clients):
    return all(client.over.wait(5) for client in clients)


def test_edits_are_stepped_to_their_end(engine, denoiser):
    clients = [Client(steps) for steps in (5, 200, 1)]
    admit(engine, *clients)
    assert ended(*clients)
    assert [client.steps for client in clients] == [
        list(range(1, steps + 1)) for steps in (5, 200, 1)
    ]
    assert len(denoiser.ended) == 3 and not any(client.error for client in clients)


def test_a_newcomer_with_less_to_do_goes_first(engine, denoiser):
    denoiser.may.clear()
    large = Client(50, 64)
    admit(engine, large)
    time.sleep(0.05)  # it is at its first step
    small = Client(2, 4)
    order = []
    for client in (large, small):
        client.edit.on_end = lambda failure, client=client: (
            order.append(client),
            client.end(failure),
        )
    admit(engine, small)
    denoiser.may.set()
    assert ended(small, large) and order == [small, large]


def test_edits_of_one_size_share_steps_where_it_pays(denoiser):
    denoiser.may.clear()
    engine = Engine(denoiser, FLAT)
    clients = [Client(4), Client(4), Client(4), Client(4, tokens=16)]
    admit(engine, *clients)
    denoiser.may.set()
    assert ended(*clients)
    engine.stop()
    assert max(denoiser.stepped) == 3 and sum(denoiser.stepped) == 16


def test_edits_without_a_request_id_are_told_apart(engine, denoiser):
    """As the ensemble's are; what they want has arrays, which cannot be compared."""
    denoiser.begin = lambda request: State(3, 8, False)
    clients = [Client() for _ in range(3)]
    for client in clients:
        client.edit.request = DenoiseRequest(np.zeros(2), np.zeros(2), np.zeros(2), seed=1)
    denoiser.may.clear()
    admit(engine, *clients)
    denoiser.may.set()
    assert ended(*clients) and [client.steps for client in clients] == [[1, 2, 3]] * 3


def test_workers_step_side_by_side_and_share_nothing_they_need_not(denoiser):
    """Three equal edits: two at once, and nobody shares a step as long as a worker is free."""
    met = threading.Barrier(2, timeout=5)
    step = denoiser.step

    def meet(states):
        if denoiser.meet:
            met.wait()
        return step(states)

    denoiser.step = meet
    denoiser.meet = True
    engine = Engine(denoiser, FLAT, workers=2)
    clients = [Client(5), Client(5)]
    denoiser.may.clear()
    admit(engine, *clients)
    denoiser.may.set()
    assert ended(*clients) and denoiser.stepped == [1] * 10, (
        "each step waited for one of the other edit's"
    )
    denoiser.meet = False
    more = [Client(50), Client(50), Client(50), Client(20, fail=True), Client(30, 16)]
    admit(engine, *more)
    assert ended(*more)
    engine.stop()
    assert [client.steps for client in more] == [
        [*range(1, steps + 1)] for steps in (50, 50, 50, 0, 30)
    ]
    assert sum(client.error is not None for client in more) == 1 and len(denoiser.ended) == 7
    assert (engine.metrics.answered, engine.metrics.failed, engine.metrics.running) == (6, 1, 0)


def test_many_workers_lose_nothing(denoiser):
    """Joins, failures, cancels and leaving clients from several threads; each edit ends once, and
    takes its steps in order."""
    engine = Engine(denoiser, FLAT, workers=4, limits=Limits(edits=10**6))
    ends = []
    clients = [
        Client(1 + i % 7, 4 + i % 3, fail=i % 11 == 0, request_id=str(i)) for i in range(400)
    ]
    for client in clients:
        client.edit.on_end = lambda failure, client=client: (
            ends.append(client),
            client.end(failure),
        )

    def come(some):
        for client in some:
            engine.admit(client.edit)
            if int(client.edit.request_id) % 5 == 0:
                engine.cancel(client.edit.request_id)
            client.gone = int(client.edit.request_id) % 13 == 0

    threads = [threading.Thread(target=come, args=(clients[i::4],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended(*clients)
    engine.stop()
    metrics = engine.metrics
    assert len(ends) == len(set(map(id, ends))) == 400 == len(denoiser.ended)
    assert (
        metrics.answered + metrics.failed + metrics.cancelled == 400
        and metrics.running == metrics.waiting == 0
    )
    assert all(client.steps == list(range(1, len(client.steps) + 1)) for client in clients)
    whole = [client for client in clients if not client.edit.steps]
    assert len(whole) == metrics.answered >= 200


def test_one_failure_leaves_the_others(engine, denoiser):
    bad = Client(3, fail=True)
    good = Client(3)
    admit(engine, bad, good)
    assert ended(bad, good)
    assert isinstance(bad.error, ValueError) and good.error is None and good.steps == [1, 2, 3]
    assert len(denoiser.ended) == 2


def test_an_answer_that_cannot_be_sent_ends_its_edit_alone(engine):
    bad = Client(3)
    good = Client(3)
    bad.edit.on_progress = lambda progress: 1 / 0
    admit(engine, bad, good)
    assert ended(bad, good) and isinstance(bad.error, ZeroDivisionError) and good.steps == [1, 2, 3]


def test_a_cancelled_edit_leaves_at_once(engine, denoiser):
    first = Client(10**9, request_id="a")
    second = Client(10**9, request_id="b")
    admit(engine, first)
    engine.cancel("unknown")
    engine.cancel("a")
    assert ended(first)
    admit(engine, second)
    second.gone = True
    assert ended(second) and first.error is second.error is None and len(denoiser.ended) == 2


def test_cancelled_before_its_first_step(engine, denoiser):
    denoiser.may.clear()
    admit(engine, Client(5))
    client = Client(
        50, tokens=64, request_id="a"
    )  # which shares no step with the other and comes after it
    admit(engine, client)
    engine.cancel("a")
    denoiser.may.set()
    assert ended(client) and client.steps == []


def test_a_deadline_that_passes_ends_the_edit(engine):
    client = Client(10**9, deadline=time.monotonic() + 0.05)
    admit(engine, client)
    assert ended(client)
    assert client.error.code == "DEADLINE_EXCEEDED" and "DEADLINE_MS has passed" in str(
        client.error
    )


def test_a_deadline_that_cannot_be_met_is_refused_at_once(engine, denoiser):
    known = Client(3)
    admit(engine, known)
    assert ended(known)
    hasty = Client(10**6, deadline=time.monotonic() + 0.01)
    with pytest.raises(
        RequestError, match="DEADLINE_MS leaves too little: denoising alone takes about"
    ) as refused:
        admit(engine, hasty)
    assert refused.value.code == "DEADLINE_EXCEEDED"


def test_nothing_queues_without_bound(engine, denoiser):
    denoiser.may.clear()
    clients = [Client(1) for _ in range(MOST)]
    admit(engine, *clients)
    with pytest.raises(
        RequestError, match=f"{MOST} edits are running already; try again in"
    ) as refused:
        admit(engine, Client(1))
    assert refused.value.code == "UNAVAILABLE"
    denoiser.may.set()
    assert ended(*clients)
    late = Client(1)
    admit(engine, late)
    assert ended(late)


def test_what_edits_keep_is_bounded(denoiser):
    """In bytes, by the cost's word on a reference token and by what steps on a region keep; one
    alone is always taken."""
    engine = Engine(denoiser, Cost(kv_bytes_per_token=1e6), limits=Limits(bytes=100 * 10**6))
    denoiser.may.clear()
    first = Client(2)
    second = Client(2)
    small = Client(2)
    small.edit.request = Sized(16)
    large = Client(2)
    large.edit.request = Sized(16, kept=30 * 10**6)
    denoiser.begin = lambda request: request if isinstance(request, Sized) else State(*request)
    admit(engine, first)
    with pytest.raises(
        RequestError, match="1 edits are running already and keep as much as they may; try again in"
    ):
        admit(engine, second)
    with pytest.raises(RequestError, match="keep as much as they may"):
        admit(engine, large)
    admit(engine, small)
    denoiser.may.set()
    assert ended(first, small)
    admit(engine, second)
    assert ended(second)
    engine.stop()


def test_a_source_is_remembered_between_steps(engine, denoiser):
    over = threading.Event()
    failures = []
    admit(engine, Client(10**9, request_id="a"))
    engine.prefill(None, failures.append)
    engine.prefill(np.ones(3), lambda failure: over.set())
    assert over.wait(5) and len(denoiser.seen) == 1 and isinstance(failures[0], ValueError)
    engine.cancel("a")


def test_what_is_told_of_the_work(denoiser):
    """After every change the edits and the steps still to take; seconds for a step and for nothing
    else."""
    reported = []
    engine = Engine(denoiser, publish=lambda *report: reported.append(report))
    for client in (Client(2), Client(3, fail=True)):
        admit(engine, client)
        assert ended(client)
    engine.stop()
    counts = [(edits, steps, seconds > 0) for edits, steps, seconds in reported]
    counts = [item for item, before in zip(counts, [None, *counts]) if item != before]
    assert counts[:4] == [(1, 2, False), (1, 1, True), (1, 0, True), (0, 0, False)], (
        "admitted, stepped twice, gone"
    )
    assert counts[4:] == [(1, 3, False), (0, 0, False)], "broken"


def test_the_metrics(engine, denoiser):
    done = Client(4)
    broken = Client(2, fail=True)
    gone = Client(10**6, request_id="a")
    admit(engine, done, broken, gone)
    assert ended(done, broken)
    engine.cancel("a")
    assert ended(gone)
    metrics = engine.metrics
    assert (metrics.answered, metrics.failed, metrics.cancelled, metrics.refused) == (1, 1, 1, 0)
    assert (
        metrics.stepped_edits == 4 + len(gone.steps) >= metrics.steps
        and metrics.stepped_tokens == 8 * metrics.stepped_edits
    )
    assert metrics.steps_cancelled == 10**6 - len(gone.steps)
    assert metrics.tokens_kept == 56 * metrics.stepped_edits and metrics.step_seconds > 0
    assert (metrics.waiting, metrics.running) == (0, 0)


def test_what_a_client_cannot_be_told_ends_nobody_else(engine, denoiser, caplog):
    """As when there is no shared memory left for an answer, or its request is gone."""

    def lost(*_):
        raise OSError("lost")

    unheard = Client(2)
    ungone = Client(2)
    unseen = threading.Event()
    unheard.edit.on_end = ungone.edit.is_disconnected = lost
    admit(engine, unheard, ungone)
    assert ended(ungone) and ungone.steps == []
    engine.prefill("source", lambda failure: (unseen.set(), lost()))
    assert unseen.wait(5)
    following = Client(3)
    admit(engine, following)
    assert ended(following) and following.steps == [1, 2, 3] and unheard.steps == [1, 2]
    assert caplog.text.count("OSError: lost") == 3, "the log has them"


def test_a_step_that_runs_nothing_says_nothing_of_the_speed(denoiser):
    """Of an edit without cells, or with a velocity from before: the doors choose lanes by these
    seconds."""
    reported = []
    step = denoiser.step
    engine = Engine(denoiser, publish=lambda edits, steps, seconds: reported.append(seconds))
    empty = Client(3, tokens=0)
    admit(engine, empty)
    assert ended(empty) and set(reported) == {0.0}

    def reuse(states):
        done = step(states)
        for item in done:
            item.reused = True
        return done

    denoiser.step = reuse
    admit(engine, reusing := Client(3))
    assert ended(reusing) and set(reported) == {0.0}
    engine.stop()
