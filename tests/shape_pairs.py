"""Calibration pairs of drawn scenes, for tiny checkpoints: no photograph is needed."""

import random
from pathlib import Path

from training.checkpoint import write_pairs
from training.render import render
from training.scenes import BUCKETS, EDIT_KINDS, draw_pair


def calibration_pairs(folder: Path, count: int) -> None:
    """Write images and instructions of all kinds of edits."""
    rng = random.Random("calibration")
    drawn = (
        draw_pair(rng, BUCKETS[number % len(BUCKETS)], EDIT_KINDS[number % len(EDIT_KINDS)])
        for number in range(count)
    )
    write_pairs(folder, ((render(pair.source).pixels, pair.instruction) for pair in drawn))
