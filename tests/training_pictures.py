"""Photographs and cut-outs for tests of the training, where the packages' are not prepared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from training import worlds
from training.kinds import names
from training.photo import layers
from training.photos import Photo
from training.stamps import Stamp

FOLDER = Path(__file__).parent / "images" / "photos"


def photographs() -> list[Photo]:
    """The samples that lie beside the tests."""
    return [
        Photo(path.stem, np.asarray(Image.open(path).convert("RGB")), path)
        for path in sorted(FOLDER.glob("*.jpg"))
    ]


def cut_outs() -> dict[str, list[Stamp]]:
    """A disc of its own colour for every kind."""
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    alpha = (255 * (x * x + y * y <= 1)).astype(np.uint8)
    stamps = {}
    for number, kind in enumerate(names()):
        colour = np.random.default_rng(number).integers(0, 256, 3, dtype=np.uint8)
        rgba = np.dstack([np.broadcast_to(colour, (64, 64, 3)), alpha])
        stamps[kind] = [Stamp(kind, rgba)]
    return stamps


def use_samples(monkeypatch) -> None:
    """Draw examples from these alone."""
    rows = photographs()
    stamps = cut_outs()
    monkeypatch.setattr(worlds, "photographs", lambda split, licences=(): rows)
    monkeypatch.setattr(layers, "_stamps", lambda: stamps)
