"""The denoiser's loop: turns, failures, cancellation."""

from __future__ import annotations

import threading

from retouch.engine import Engine, Running


class Edit:
    """An edit of `steps` steps that records what came of it."""

    def __init__(self, name, steps, order, fail=False):
        self.name, self.steps, self.order, self.fail = name, steps, order, fail
        self.over, self.error, self.gone = threading.Event(), None, False

    def progress(self):
        for step in range(self.steps):
            if self.fail:
                raise ValueError("broken")
            yield step

    def end(self, error):
        self.error = error
        self.over.set()

    def running(self):
        emit = lambda step: self.order.append((self.name, step))  # noqa: E731
        return Running(self.name, self.progress(), emit, self.end, lambda: self.gone)


def run(*edits):
    engine = Engine()
    for edit in edits:
        engine.admit(edit.running())
    return engine


def test_edits_take_turns_and_end():
    order = []
    edits = [Edit(name, 200, order) for name in "ab"]
    engine = run(*edits)
    assert all(edit.over.wait(5) for edit in edits)
    engine.stop()
    assert sorted(order) == [(name, step) for name in "ab" for step in range(200)]
    assert order.index(("b", 0)) < order.index(("a", 199))


def test_one_failure_leaves_the_others():
    order = []
    bad, good = Edit("bad", 3, order, fail=True), Edit("good", 3, order)
    engine = run(bad, good)
    assert bad.over.wait(5) and good.over.wait(5)
    engine.stop()
    assert isinstance(bad.error, ValueError) and good.error is None and len(order) == 3


def test_a_cancelled_edit_leaves_at_once():
    order = []
    edit = Edit("a", 10**9, order)
    engine = run(edit)
    engine.cancel("unknown")
    engine.cancel("a")
    assert edit.over.wait(5)
    other = Edit("b", 10**9, order)
    engine.admit(other.running())
    other.gone = True
    assert other.over.wait(5)
    engine.stop()
