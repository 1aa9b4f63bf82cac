"""Example images of the shipped checkpoint, each with an instruction that fits it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from retouch.launcher.server import ROOT

SHAPES = ROOT / "checkpoints" / "shapes"
# calibration images, one for each operation
CHOSEN = ("33.png", "36.png", "10.png", "52.png", "45.png")


@dataclass(frozen=True)
class Example:
    image: Path
    instruction: str


def examples() -> list[Example]:
    """The examples; an empty list if the checkpoint is not beside the code."""
    if not (SHAPES / "sample.png").is_file():
        return []
    pairs = (
        json.loads(line)
        for line in (SHAPES / "calibration" / "pairs.jsonl").read_text().splitlines()
    )
    instructions = {pair["image"]: pair["instruction"] for pair in pairs}
    sample = Example(SHAPES / "sample.png", (SHAPES / "sample.txt").read_text().strip())
    calibration = SHAPES / "calibration"
    return [sample, *(Example(calibration / name, instructions[name]) for name in CHOSEN)]
