"""Calibration pairs of drawn scenes, for tiny checkpoints: no photograph is needed."""

import json
import random
from pathlib import Path

from PIL import Image

from training.render import render
from training.scenes import BUCKETS, EDIT_KINDS, draw_pair


def calibration_pairs(folder: Path, count: int) -> None:
    """Write images and instructions of all kinds of edits."""
    rng = random.Random("calibration")
    rows = []
    folder.mkdir(exist_ok=True)
    for number in range(count):
        pair = draw_pair(rng, BUCKETS[number % len(BUCKETS)], EDIT_KINDS[number % len(EDIT_KINDS)])
        rows.append(json.dumps({"image": f"{number:02d}.png", "instruction": pair.instruction}))
        Image.fromarray(render(pair.source).pixels).save(folder / f"{number:02d}.png")
    (folder / "pairs.jsonl").write_text("\n".join(rows) + "\n")
