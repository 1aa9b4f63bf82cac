"""Pictures to begin with, of the shipped checkpoint's, each with a sentence that fits it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from retouch.launcher.server import ROOT

SHAPES = ROOT / "checkpoints" / "shapes"
CHOSEN = (
    "33.png",
    "36.png",
    "10.png",
    "52.png",
    "45.png",
)  # of the calibration's, one an operation


@dataclass(frozen=True)
class Example:
    picture: Path
    instruction: str


def examples() -> list[Example]:
    """None where the checkpoint is not beside the code."""
    if not (SHAPES / "sample.png").is_file():
        return []
    pairs = (
        json.loads(line)
        for line in (SHAPES / "calibration" / "pairs.jsonl").read_text().splitlines()
    )
    sentences = {pair["image"]: pair["instruction"] for pair in pairs}
    sample = Example(SHAPES / "sample.png", (SHAPES / "sample.txt").read_text().strip())
    return [sample, *(Example(SHAPES / "calibration" / name, sentences[name]) for name in CHOSEN)]
