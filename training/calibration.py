"""Stage 8: the confidence is calibrated on examples that were never trained on."""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from retouch.families.instructx.assessment import Calibration, assess
from retouch.families.instructx.prompt import PromptWriter
from training import parser, scope
from training.labels import FIELDS, HEAD_FIELDS
from training.parser import QUERIES, ParserNetworks

BATCHES = 40
TEMPERATURES = np.geomspace(0.5, 4, 25)
FALSE_REFUSALS = 0.01  # share of the examples that may be refused for a low confidence alone


@dataclass(frozen=True)
class Reading:
    """Logits of one example, the labels of its operations, and whether all its targets are
    there."""

    labels: np.ndarray
    presence: np.ndarray
    expected: np.ndarray
    present: bool


def run(work: Path, networks: ParserNetworks, seed: int = 0, say=print) -> Calibration:
    """Write the temperature and the least confidence into the heads' config."""
    readings = read(work, networks, seed)
    temperature = min(TEMPERATURES, key=lambda value: loss(readings, value))
    calibration = Calibration(float(temperature), threshold(readings, temperature))
    networks.heads.register_to_config(
        temperature=calibration.temperature,
        refuse_below=calibration.refuse_below,
        unsupported=list(scope.UNSUPPORTED),
    )
    say(f"temperature {calibration.temperature:.2f}, refused below {calibration.refuse_below:.3f}")
    return calibration


@torch.no_grad()
def read(work: Path, networks: ParserNetworks, seed: int) -> list[Reading]:
    writer = PromptWriter(work / "tokenizer.json", QUERIES)
    readings = []
    for number in range(BATCHES):
        sample = parser.draw(random.Random(f"calibration {seed} {number}"), writer)
        _, understood, _ = networks(sample.batch)
        presence = sample.presence.numpy()
        readings += [
            Reading(labels, there, expected, not (row == 0).any())
            for labels, there, expected, row in zip(
                understood.labels.numpy(),
                understood.presence.numpy(),
                sample.fields.numpy(),
                presence,
            )
        ]
    return readings


def loss(readings: list[Reading], temperature: float) -> float:
    """Mean negative log likelihood of the confidence as the probability that a reading is right."""
    shares = []
    for reading in readings:
        confidence, right = _judged(reading, temperature)
        share = confidence if right else 1 - confidence
        shares.append(np.log(max(share, 1e-6)))
    return -float(np.mean(shares))


def threshold(readings: list[Reading], temperature: float) -> float:
    """The confidence below which FALSE_REFUSALS of the right readings lie."""
    rows = [_judged(reading, temperature) for reading in readings if _can_be_done(reading)]
    confidences = sorted(confidence for confidence, right in rows if right)
    return confidences[int(len(confidences) * FALSE_REFUSALS)] if confidences else 0.0


def _judged(reading: Reading, temperature: float) -> tuple[float, bool]:
    """The confidence of a reading, and whether it is right: what can be done is read as it is
    meant."""
    boxes = np.zeros((len(reading.labels), 2, 4), np.float32)
    calibration = Calibration(temperature)
    result = assess(reading.labels, boxes, HEAD_FIELDS, reading.presence, calibration)
    ops = [FIELDS["op"][row[0]] for row in reading.expected if row[0] > 0]
    right = [operation.op for operation in result.operations] == ops
    return result.confidence, right and reading.present


def _can_be_done(reading: Reading) -> bool:
    first = FIELDS["op"][reading.expected[0, 0]]
    return first != "unknown" and reading.present
