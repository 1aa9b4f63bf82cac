"""Answers of a lane to edits whose exact results are known, as examples of the evaluator."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np

from retouch.api.geometry import CELL
from retouch.api.request import EditRequest
from retouch.imaging import images
from training.example import Example, changed
from training.labels import boxes
from training.lane import Lane
from training.photo.judge import LARGEST, colour_difference
from training.quality.examples import GOOD, Judged, edits_of, reading
from training.quality.faults import Parts
from training.scenes import BUCKETS
from training.worlds import ShapesSource, draw_source

FAILED = "the lane's own"  # the name of a spoiled answer's fault
LEAST_FAILED = 7.0  # CIEDE2000 to the exact result; what lies between that and LARGEST is left out
EDITS = 3  # of one picture


def draw(rng: random.Random, lane: Lane, split: str = "training") -> Iterator[Judged]:
    """Without end: the lane's answers that are clearly good or clearly spoiled."""
    for seed, (example, is_photo) in enumerate(_edits(rng, split)):
        request = EditRequest(
            images.encode(example.source), example.sentence, seed=seed, on_unknown="try"
        )
        answer = images.decode(lane.run(request))
        height, width, _ = answer.shape
        region = lane.region(height, width)[::CELL, ::CELL]
        inside = changed(example.source, example.target) | changed(example.source, answer)
        far = colour_difference(answer, example.target, inside)
        if region.any() and not LARGEST < far < LEAST_FAILED:
            yield _judged(example, answer, region, far <= LARGEST, is_photo)


def _edits(rng: random.Random, split: str) -> Iterator[tuple[Example, bool]]:
    """Edits, and whether they are of a photograph."""
    while True:
        source = draw_source(rng, rng.choice(BUCKETS), split)
        for example in edits_of(rng, source)[:EDITS]:
            yield example, not isinstance(source, ShapesSource)


def _judged(
    example: Example, answer: np.ndarray, region: np.ndarray, is_good: bool, is_photo: bool
) -> Judged:
    return Judged(
        example.source,
        answer,
        region,
        reading(example),
        boxes(example.operations),
        GOOD if is_good else FAILED,
        float(is_good),
        Parts(None, float(is_good), None),
        is_photo,
    )
