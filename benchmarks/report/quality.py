"""Quality of the lanes' pictures beside their speed, on the served graphs."""

from __future__ import annotations

import base64
import math
import statistics
from pathlib import Path

from benchmarks.report.figures import Quality, Sample
from retouch.imaging import images
from training.figures import REFERENCE
from training.lane import Answer, Lane, exported
from training.likeness import Distance, likeness, psnr
from training.lpips import Lpips, LpipsError
from training.render import render
from training.scenes import Pair, held_out
from training.shape_edits import edit

SAMPLES = 4


def quality(repository: Path, scenes: int) -> tuple[list[Quality], list[Sample]]:
    """Of every exported lane, the reference first, on the first held-out scenes, scene i with seed
    i, and some of their pictures; ArtifactError."""
    lanes = [Lane(repository, name) for name in exported(repository)]
    pairs = held_out(scenes)
    answers = edit(lanes, pairs, steps=0)
    distance = _distance()
    samples = [
        _sample(pair, {lane.name: answers[lane.name][number] for lane in lanes})
        for number, pair in enumerate(pairs[:SAMPLES])
    ]
    return [
        _quality(lane, answers[lane.name], answers[REFERENCE], distance) for lane in lanes
    ], samples


def _sample(pair: Pair, answers: dict[str, Answer]) -> Sample:
    pixels = {"source": render(pair.source).pixels} | {
        lane: answer.pixels for lane, answer in answers.items()
    }
    files = {
        name: base64.b64encode(images.encode(image)).decode() for name, image in pixels.items()
    }
    return Sample(pair.instruction, files)


def _quality(
    lane: Lane, answers: list[Answer], reference: list[Answer], distance: Distance | None
) -> Quality:
    same = lane.name == REFERENCE
    likenesses = (
        []
        if same
        else [
            likeness(ours.pixels, theirs.pixels, distance or _unknown)
            for ours, theirs in zip(answers, reference)
        ]
    )
    return Quality(
        lane.name,
        len(answers),
        statistics.fmean(answer.judgement.success for answer in answers),
        psnr=_finite(psnr(likenesses)) if likenesses else None,
        psnr_worst=_finite(min(psnr([likeness]) for likeness in likenesses))
        if likenesses
        else None,
        lpips=statistics.fmean(likeness.lpips for likeness in likenesses)
        if likenesses and distance
        else None,
        weights=sum(lane.bytes.values()),
    )


def _distance() -> Distance | None:
    try:
        return Lpips()
    except LpipsError:
        return None


def _unknown(*_: object) -> float:
    return math.nan


def _finite(decibels: float) -> float | None:
    return decibels if math.isfinite(decibels) else None
