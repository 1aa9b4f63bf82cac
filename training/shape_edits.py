"""Edits of the held-out scenes of shapes: the answers of several lanes and their likenesses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from training.figures import REFERENCE, Outcome
from training.lane import Answer, Lane
from training.likeness import Likeness, likeness
from training.lpips import Lpips
from training.progress import bar
from training.render import render
from training.scenes import Pair


def evaluate(
    repository: Path, names: Sequence[str], scenes: Sequence[Pair], steps: int = 0
) -> dict[str, Outcome]:
    """Edit the scenes with the lanes `names` and the reference; outcomes by lane. ArtifactError,
    LpipsError."""
    lanes = [Lane(repository, name) for name in with_reference(names)]
    lpips = Lpips() if len(lanes) > 1 else None
    answers = edit(lanes, scenes, steps)
    outcomes = {REFERENCE: Outcome(lanes[0].bytes, answers[REFERENCE])}
    for lane in lanes[1:]:
        likenesses = compare(lane.name, answers[lane.name], answers[REFERENCE], lpips)
        outcomes[lane.name] = Outcome(lane.bytes, answers[lane.name], likenesses)
    return outcomes


def edit(lanes: Sequence[Lane], scenes: Sequence[Pair], steps: int) -> dict[str, list[Answer]]:
    """Answers by lane. All lanes edit scene i with seed i, in turn, so that other load on the
    machine affects them alike."""
    answers: dict[str, list[Answer]] = {lane.name: [] for lane in lanes}
    for seed, pair in enumerate(bar(scenes, "editing")):
        source = render(pair.source)
        target = render(pair.target)
        for lane in lanes:
            answers[lane.name].append(lane.edit(source, target, pair.instruction, seed, steps))
    return answers


def compare(
    name: str, answers: Sequence[Answer], reference: Sequence[Answer], lpips: Lpips
) -> list[Likeness]:
    pairs = bar(list(zip(answers, reference)), f"comparing {name}")
    return [likeness(answer.pixels, expected.pixels, lpips) for answer, expected in pairs]


def with_reference(names: Sequence[str]) -> list[str]:
    """The reference, then the other lanes."""
    return list(dict.fromkeys((REFERENCE, *names)))


def with_parts(precisions: Sequence[str]) -> list[str]:
    """Names of the lanes with parser and connector in these precisions: beside bf16, and beside the
    lane of the same precision."""
    return list(
        dict.fromkeys(
            f"{lane}+{precision}" for precision in precisions for lane in (REFERENCE, precision)
        )
    )
