"""Train the evaluator of edits: `python -m training.quality`. Run it again to resume.

It needs the photographs (`make photos`) and requirements-eval.txt. It writes the artifact of the
model `evaluator` and figures of held-out answers."""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import torch

from retouch.launcher.server import REPOSITORY, RUNTIME
from retouch.networks.evaluator import Evaluator
from training.lane import Lane
from training.progress import bar
from training.quality import artifact, backbone, examples, head, lane_answers
from training.quality.features import FeatureTable, joined, tabulate
from training.quality.figures import figures, lines

CHUNK = 500  # answers of a file, which has a seed of its own
SPLITS = {"training": 30_000, "held out": 4_000}  # answers
OF_LANE = {"training": 900, "held out": 300}  # further answers, of a lane


def main(arguments: list[str] | None = None) -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--work", type=Path, default=RUNTIME / "evaluator", help="states")
    cli.add_argument("--out", type=Path, default=artifact.FOLDER, help="of the artifact")
    cli.add_argument("--json", type=Path, default=Path("out/evaluator.json"), help="figures")
    cli.add_argument("--version", default="1", help="tells this evaluator from others")
    cli.add_argument("--steps", type=int, default=head.STEPS, help="of the head's training")
    for split, count in SPLITS.items():
        cli.add_argument(f"--{split.replace(' ', '-')}", type=int, default=count, metavar="ANSWERS")
    cli.add_argument("--lane", default="bf16", help="whose own answers are learnt too, or empty")
    options = cli.parse_args(arguments)
    vocabulary = asdict(examples.vocabulary())
    evaluator = Evaluator(**vocabulary, version=options.version).eval()
    backbone.load(evaluator.backbone)
    tables = {
        split: table(evaluator, options.work, split, getattr(options, split.replace(" ", "_")))
        for split in SPLITS
    }
    if options.lane:
        for split, count in OF_LANE.items():
            answers = of_lane(evaluator, options.work, options.lane, split, count)
            tables[split] = joined([tables[split], answers])
    head.train(evaluator, tables["training"], options.steps)
    report = figures(evaluator, tables["held out"]) | {"training": tables["training"].counts()}
    artifact.write(evaluator, options.out)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report, indent=1) + "\n")
    print("\n".join(lines(report)))


def table(evaluator: Evaluator, work: Path, split: str, count: int) -> FeatureTable:
    """Features of `count` answers of a split; those in files of `work` are read."""
    work.mkdir(parents=True, exist_ok=True)
    numbers = range(max(1, count // CHUNK))
    return joined([_chunk(evaluator, work, split, number) for number in bar(numbers, split)])


def of_lane(evaluator: Evaluator, work: Path, lane: str, split: str, count: int) -> FeatureTable:
    """Features of a lane's own answers, of the exported checkpoint."""
    rng = random.Random(f"{split} {lane}")
    path = work / f"{lane}_{split.replace(' ', '_')}.pt"
    return kept(
        path,
        lambda: tabulate(
            evaluator, islice(lane_answers.draw(rng, Lane(REPOSITORY, lane), split), count)
        ),
    )


def _chunk(evaluator: Evaluator, work: Path, split: str, number: int) -> FeatureTable:
    path = work / f"{split.replace(' ', '_')}_{number:03d}.pt"
    drawn = examples.draw(random.Random(f"{split} {number}"), split)
    return kept(path, lambda: tabulate(evaluator, islice(drawn, CHUNK)))


def kept(path: Path, make: Callable[[], FeatureTable]) -> FeatureTable:
    """The table of a file, which `make` makes where there is none."""
    if not path.is_file():
        made = make()
        partial = path.with_suffix(".partial")
        torch.save((made.features.half(), made.goals, made.faults, made.is_photo), partial)
        partial.replace(path)
    features, goals, faults, is_photo = torch.load(path, weights_only=True)
    return FeatureTable(features.float(), goals, faults, is_photo)


if __name__ == "__main__":
    main()
