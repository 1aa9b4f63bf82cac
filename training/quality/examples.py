"""Examples of the evaluator: good and spoiled answers to edits of all worlds."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from retouch.api.response import Operation
from retouch.families.instructx import parser_output
from retouch.quality.reading import Vocabulary
from training.example import Example, changed
from training.labels import FIELDS, HEAD_FIELDS, SLOTS, boxes, fields
from training.quality.faults import FAULTS, Parts, cells_of, region_of, spoiled
from training.scenes import BUCKETS
from training.vocabulary import NONE
from training.worlds import ShapesSource, Source, draw_source

GOOD = "good"
EDITS = 5  # of one picture
GOOD_SHARE = 0.45
TRIES = 8
KNOWN = Parts(1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Judged:
    """An answer, uint8 [H, W, 3], and what is known of it.

    `region` is bool [H/16, W/16], `reading` float32 [slots, width] and `boxes` [slots, 2, 4].
    `fault` is GOOD or a key of FAULTS, `score` 1 or 0. `is_photo` is False for drawn scenes."""

    source: np.ndarray
    answer: np.ndarray
    region: np.ndarray
    reading: np.ndarray
    boxes: np.ndarray
    fault: str
    score: float
    parts: Parts
    is_photo: bool


def draw(rng: random.Random, split: str = "training") -> Iterator[Judged]:
    """Without end: answers to edits of pictures of the split."""
    while True:
        source = draw_source(rng, rng.choice(BUCKETS), split)
        yield from of_picture(rng, source)


def of_picture(rng: random.Random, source: Source) -> Iterator[Judged]:
    """A good or spoiled answer to each of some edits of a picture."""
    edits = edits_of(rng, source)
    for example in edits:
        others = [edit for edit in edits if edit is not example]
        is_good = rng.random() < GOOD_SHARE
        made = (GOOD, example.target) if is_good else _fault(rng, example, others)
        if made is not None:
            yield _judged(rng, source, example, *made)


def edits_of(rng: random.Random, source: Source) -> list[Example]:
    """Some edits of a picture."""
    edits: list[Example] = []
    for _ in range(TRIES * EDITS):
        example = source.edit(rng)
        if example and example.edits:
            edits.append(example)
        if len(edits) == EDITS:
            break
    return edits


def _fault(
    rng: random.Random, example: Example, others: list[Example]
) -> tuple[str, np.ndarray] | None:
    """The name of a random fault that this edit can have, and the answer."""
    names = list(FAULTS)
    rng.shuffle(names)
    for name in names[:TRIES]:
        answer = spoiled(rng, name, example, others)
        if answer is not None:
            return name, answer
    return None


def _judged(
    rng: random.Random, source: Source, example: Example, name: str, answer: np.ndarray
) -> Judged:
    region = region_of(example) | cells_of(changed(example.source, answer))
    if name in ("drift outside", "colour cast"):
        region = region_of(example)
    if rng.random() < 0.2:
        region = np.ones_like(region)
    return Judged(
        example.source,
        _redrawn(rng, example.source, answer, region),
        region,
        reading(example),
        _jittered(rng, boxes(example.operations)),
        name,
        float(name == GOOD),
        KNOWN if name == GOOD else FAULTS[name].parts,
        not isinstance(source, ShapesSource),
    )


def _redrawn(
    rng: random.Random, source: np.ndarray, answer: np.ndarray, region: np.ndarray
) -> np.ndarray:
    """The answer as a network would draw it, too little changed to be spoiled: softer, with small
    errors of colour, and compressed."""
    pixels = answer.astype(np.float32)
    if rng.random() < 0.5:
        soft = cv2.blur(pixels, (2, 2))
        pixels += rng.random() * (soft - pixels)
    if rng.random() < 0.7:
        generator = np.random.default_rng(rng.getrandbits(32))
        coarse = generator.standard_normal((4, 4, 3)).astype(np.float32) * rng.uniform(0, 3)
        error = cv2.resize(coarse, pixels.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        cells = region.astype(np.float32).repeat(16, 0).repeat(16, 1)[..., None]
        pixels += error * cells + generator.standard_normal(pixels.shape) * rng.uniform(0, 2)
    drawn = np.rint(pixels.clip(0, 255)).astype(np.uint8)
    if rng.random() < 0.3:
        quality = rng.randint(80, 96)
        _, file = cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, quality])
        drawn = cv2.imdecode(file, cv2.IMREAD_COLOR)
    return drawn


@cache
def vocabulary() -> Vocabulary:
    """Of all that the parser's heads can say."""
    texts = [value for name, values in FIELDS.items() if name != "op" for value in values]
    terms = {word for text in texts for word in text.split()}
    return Vocabulary(FIELDS["op"], tuple(sorted(terms - {NONE})), SLOTS)


def reading(example: Example) -> np.ndarray:
    """The instruction as the parser should read it, float32 [slots, width]."""
    return vocabulary().reading(operations_of(example))


def operations_of(example: Example) -> list[Operation]:
    """The same as INFO names it."""
    logits = [
        np.concatenate([np.eye(len(names))[index] for index, names in zip(slot, FIELDS.values())])
        for slot in fields(example.operations)
    ]
    return parser_output.operations(np.stack(logits), boxes(example.operations), HEAD_FIELDS)


def _jittered(rng: random.Random, places: np.ndarray) -> np.ndarray:
    """Boxes as exact as the parser's."""
    generator = np.random.default_rng(rng.getrandbits(32))
    moved = places + 0.02 * generator.standard_normal(places.shape)
    return np.where(places.any(-1, keepdims=True), moved, 0).clip(0, 1).astype(np.float32)
