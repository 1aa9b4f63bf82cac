"""A session of five turns on one image, with reference cache and region against neither."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.baselines import Forgetful
from benchmarks.held_out_edits import SIZE
from benchmarks.interleave import in_turns, medians
from benchmarks.table import AT_MOST, Row
from retouch.api.request import EditRequest
from retouch.imaging import images
from retouch.offline.plain_loop import PlainLoop
from training.render import render
from training.scenes import draw_scene, edit_scene

STEPS = (3, 12, 28)


@dataclass(frozen=True)
class Turn:
    """An instruction on the image before the session or, with `on_last`, on the last result."""

    instruction: str
    seed: int
    on_last: bool = False


@dataclass(frozen=True)
class Session:
    photo: np.ndarray
    turns: tuple[Turn, ...]

    def play(self, loop: PlainLoop, steps: int, region: bytes) -> None:
        """Run all turns. The client keeps every image that an undo returns to."""
        before = image = images.encode(self.photo)
        for turn in self.turns:
            request = EditRequest(
                image if turn.on_last else before, turn.instruction, turn.seed, steps, region=region
            )
            image = loop.edit(request)


def session_rows(repository: Path, loop: PlainLoop, count: int) -> list[Row]:
    """`count` sessions, each on another image, ours and theirs in turns; the time of all five
    edits."""
    ways = {"ours": (loop, b"auto"), "theirs": (Forgetful(repository), b"full")}
    rows = []
    for number, steps in enumerate(STEPS):
        sessions = list(draw(number, count + 1))  # images that nobody has seen

        def way(name: str):
            return lambda turn: sessions[turn].play(ways[name][0], steps, ways[name][1])

        spent = medians(in_turns({name: way(name) for name in ways}, count))
        nothing = medians(
            in_turns({"none": lambda turn: sessions[turn].play(loop, 1, b"auto")}, count)
        )["none"]
        bound = (
            f"with one step only, ours takes {nothing:.0f} ms: decoding, reading, encoding and the "
            "rest"
        )
        rows.append(
            Row(
                f"five-turn session, {steps} steps",
                "no memory, full frame, reference at every step",
                spent["ours"],
                spent["theirs"],
                "ms",
                AT_MOST,
                0.3,
                "same checkpoint, seeds and sentences",
                bound,
            )
        )
    return rows


def draw(seed: int, count: int) -> Iterator[Session]:
    """Edit, another seed, undo and edit another object, another seed, edit the next object of the
    result."""
    rng = random.Random(f"session {seed}")
    while count:
        scene = draw_scene(rng, SIZE)
        first, second = (edit_scene(rng, scene, op) for op in ("recolour", "remove"))
        if len(scene.shapes) < 3 or first.edits[0].target == second.edits[0].target:
            continue
        third = edit_scene(rng, second.target, "recolour")
        sentences = (
            (first.instruction, 1),
            (first.instruction, 2),
            (second.instruction, 3),
            (second.instruction, 4),
        )
        yield Session(
            render(scene).pixels,
            (*(Turn(*sentence) for sentence in sentences), Turn(third.instruction, 5, True)),
        )
        count -= 1
