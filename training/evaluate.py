"""Evaluate every lane on the 500 held-out scenes: the exported graphs, without a server.

    python -m training.evaluate [--precision LANE …] [--parts [PRECISION …]] [--steps N]
    [--scenes N] [--json PATH] [--worst PATH] [--write README]

`make eval` first installs the weights of LPIPS (requirements-eval.txt), which bf16 alone does not
need.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.progress import track

from retouch.api.lanes import LANES
from retouch.api.limits import MAX_STEPS
from retouch.artifacts.manifest import ArtifactError
from training.figures import REFERENCE, Outcome, figures
from training.lane import Answer, Lane, exported
from training.likeness import Likeness, likeness
from training.lpips import Lpips, LpipsError
from training.parts import exported as parts_of
from training.parts import reading_figures
from training.parts_table import show_parts, write_table
from training.render import render
from training.scenes import HELD_OUT, Pair, held_out
from training.table import show
from training.worst import contact_sheet

bar = partial(track, transient=True, disable=not sys.stdout.isatty())


def evaluate(
    repository: Path, names: Sequence[str], scenes: Sequence[Pair], steps: int = 0
) -> dict[str, Outcome]:
    """Edit the scenes with the lanes `names` and the reference; outcomes by lane. ArtifactError,
    LpipsError."""
    names = (REFERENCE, *(name for name in names if name != REFERENCE))
    lanes = [Lane(repository, name) for name in names]
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


def with_parts(precisions: Sequence[str]) -> list[str]:
    """Names of the lanes with parser and connector in these precisions: beside bf16, and beside the
    lane of the same precision."""
    return list(
        dict.fromkeys(
            f"{lane}+{precision}" for precision in precisions for lane in (REFERENCE, precision)
        )
    )


def compare(
    name: str, answers: Sequence[Answer], reference: Sequence[Answer], lpips: Lpips
) -> list[Likeness]:
    pairs = bar(list(zip(answers, reference)), f"comparing {name}")
    return [likeness(answer.pixels, expected.pixels, lpips) for answer, expected in pairs]


def main(arguments: list[str] | None = None) -> None:
    options = _options(arguments)
    scenes = held_out(options.scenes)
    try:
        lanes = options.precision or exported(options.repository)
        parts = _parts(options)
        edited = evaluate(options.repository, [*lanes, *with_parts(parts)], scenes, options.steps)
        outcomes = {name: outcome for name, outcome in edited.items() if "+" not in name}
        report = figures(scenes, outcomes)
        show(report)
        if parts:
            reading = reading_figures(options.repository, parts, scenes, bar)
            report |= {"parts": reading, "edits": figures(scenes, edited)["lanes"]}
            show_parts(report)
            if options.write:
                write_table(report, options.write)
    except (ArtifactError, LpipsError, ValueError) as failure:
        sys.exit(f"error: {failure}")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    if options.worst and len(outcomes) > 1:
        options.worst.parent.mkdir(parents=True, exist_ok=True)
        contact_sheet(scenes, outcomes).save(options.worst)
        print(f"wrote {options.worst}")


def _parts(options: argparse.Namespace) -> list[str]:
    """The precisions of the parts, the widest first."""
    if options.parts is None:
        return []
    return [name for name in LANES if name in (options.parts or parts_of(options.repository))]


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument(
        "--precision",
        nargs="*",
        choices=LANES,
        help="lanes other than bf16 (default: all that are exported)",
    )
    parser.add_argument(
        "--parts",
        nargs="*",
        choices=LANES,
        help="also edit with parser and connector in these precisions (default without names: all "
        "that are exported)",
    )
    parser.add_argument("--write", type=Path, help="write the table of the parts to this README")
    parser.add_argument("--steps", type=int, default=0, help="0 is the checkpoint's default")
    parser.add_argument("--scenes", type=int, default=HELD_OUT)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument(
        "--worst",
        type=Path,
        help="write images of the scenes in which the lanes differ most to this file",
    )
    options = parser.parse_args(arguments)
    if options.scenes < 1:
        parser.error(f"--scenes is {options.scenes}; it must be 1 or more")
    if not 0 <= options.steps <= MAX_STEPS:
        parser.error(f"--steps is {options.steps}; it must be 0 to {MAX_STEPS}")
    return options


if __name__ == "__main__":
    main()
