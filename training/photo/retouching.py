"""Operations that retouch a photograph: which ones a picture allows, and their exact results."""

import random
from collections.abc import Sequence

import numpy as np

from training.operation import Operation
from training.photo import places, tones
from training.photo.colours import TINTS, coverage, rehued, weight
from training.vocabulary import (
    AMOUNTS,
    CORNERS,
    DETAIL_OPS,
    GRADED,
    HALVES,
    HUES,
    NONE,
    RANGES,
    TONE_OPS,
)

EVERYWHERE = 0.5  # share of operations without a place
PRESENT = 0.03  # least share of a picture that a colour's parts have to cover
ABSENT = 0.002  # a colour that covers less is not there
# operations of the whole picture's frame, or whose name already says where
FRAMED = ("vignette", "dusk")


def draw(rng: random.Random, pixels: np.ndarray) -> Operation:
    """A random operation for a photograph float32 [H, W, 3] in 0..1; `present` tells whether the
    colour that it is limited to is there."""
    if rng.random() < 0.12:
        return _recolour(rng, coverage(pixels))
    op = rng.choice(TONE_OPS * 2 + DETAIL_OPS)
    where, colour = _where(rng, op, pixels)
    return Operation(
        op,
        colour=rng.choice(list(TINTS)) if op == "tint" else NONE,
        amount=rng.choice((NONE, NONE, *AMOUNTS)) if op in GRADED else NONE,
        where=where,
        where_colour=colour,
        present=colour == NONE or _present(_share(pixels, colour)),
    )


def perform(pixels: np.ndarray, operation: Operation) -> np.ndarray:
    """The exact result, float32 [H, W, 3] in 0..1."""
    if operation.op == "recolour":
        edited = rehued(pixels, operation.colour)
    else:
        edited = tones.apply(pixels, operation.op, operation.amount, operation.colour)
    share = places.weights(pixels, operation.where, operation.where_colour)[..., None]
    return pixels + share * (edited - pixels)


def retouched(pixels: np.ndarray, operations: Sequence[Operation]) -> np.ndarray:
    """The exact result of operations one after the other; pictures are uint8 [H, W, 3]."""
    result = pixels.astype(np.float32) / 255
    for operation in operations:
        result = perform(result, operation)
    return np.rint(result * 255).astype(np.uint8)


def usable(pixels: np.ndarray, operation: Operation) -> bool:
    """Whether the colour of an operation is clearly there or clearly not."""
    if operation.where_colour == NONE:
        return True
    share = _share(pixels, operation.where_colour)
    return share < ABSENT or _present(share)


def _share(pixels: np.ndarray, colour: str) -> float:
    """Of the picture, that has a colour."""
    return float(weight(pixels, colour).mean())


def _present(share: float) -> bool:
    return share >= PRESENT


def _recolour(rng: random.Random, shares: dict[str, float]) -> Operation:
    colour = _colour(rng, shares)
    return Operation(
        "recolour",
        colour=rng.choice([hue for hue in HUES if hue != colour]),
        where="colour parts",
        where_colour=colour,
        present=_present(shares[colour]),
    )


def _where(rng: random.Random, op: str, pixels: np.ndarray) -> tuple[str, str]:
    """A place and its colour."""
    if op in FRAMED or rng.random() < EVERYWHERE:
        return NONE, NONE
    where = rng.choice(
        (rng.choice(HALVES), rng.choice(CORNERS), "center", "edges", rng.choice(RANGES), "colour")
    )
    if where != "colour":
        return where, NONE
    where = rng.choice(("colour parts", "other colours"))
    return where, _colour(rng, coverage(pixels))


def _colour(rng: random.Random, shares: dict[str, float]) -> str:
    """Mostly a colour that is there, one time in six one that is not."""
    there = [colour for colour in HUES if shares[colour] >= PRESENT]
    missing = [colour for colour in HUES if shares[colour] < ABSENT]
    lists = (missing, there) if rng.random() < 1 / 6 else (there, missing)
    return rng.choice(next((colours for colours in lists if colours), list(HUES)))
