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
        return Running(self.name, self.progress(), emit, self.end, lambda: self.gone, self.steps)


def run(*edits, **options):
    engine = Engine(**options)
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


def test_what_is_told_of_the_work():
    """After every change the edits and the steps still to take; seconds for a step and for nothing else."""
    order, told = [], []
    edits = Edit("a", 2, order), Edit("bad", 3, order, fail=True)
    engine = run(edits[0], post=lambda *words: told.append(words))
    assert edits[0].over.wait(5)
    engine.admit(edits[1].running())
    assert edits[1].over.wait(5)
    look = Edit("look", 0, order)
    engine.admit(look.running())
    assert look.over.wait(5)
    engine.stop()
    counts = [(edits, steps, seconds > 0) for edits, steps, seconds in told]
    assert counts[:4] == [(1, 2, False), (1, 1, True), (0, 0, True), (0, 0, False)], "admitted, stepped twice, gone"
    assert counts[4:] == [(1, 3, False), (0, 0, False), (0, 0, False), (0, 0, False)], "broken, and then no edit"
