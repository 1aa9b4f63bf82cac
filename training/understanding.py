"""How well the parser tells what it can do from what it cannot, on sentences that people wrote."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from retouch.families.instructx.parser import Parser
from training.example import Example
from training.grammar.held_out import known_sentences, unknown_sentences
from training.operation import Operation
from training.scenes import BUCKETS
from training.scope import in_scope
from training.worlds import picture_for

BINS = 10  # of the reliability table


@dataclass(frozen=True)
class Understood:
    """One sentence beside a picture that has its targets. `known` is whether it can be done,
    `right` whether the operations are those that it asks for."""

    example: Example
    known: bool
    understood: bool
    confidence: float
    right: bool


def held_out_sentences() -> list[tuple[str, tuple[Operation, ...]]]:
    """All sentences of the evaluation and what they ask for; those that are out of the checkpoint's
    scope count as unknown."""
    known = [(row.sentence, in_scope(row.operations)) for row in known_sentences()]
    return known + [(sentence, (Operation("unknown"),)) for sentence in unknown_sentences()]


def read(
    parser: Parser, sentences: Sequence[tuple[str, tuple[Operation, ...]]]
) -> list[Understood]:
    """What the parser makes of every sentence, beside a held-out picture with its targets."""
    rng = random.Random("held out sentences")
    rows = []
    for number, (sentence, operations) in enumerate(sentences):
        bucket = BUCKETS[number % len(BUCKETS)]
        example = picture_for(rng, bucket, sentence, operations)
        (parsed,) = parser.run(example.source[None], [sentence])
        assessment = parsed.assessment
        rows.append(
            Understood(
                example,
                operations[0].op != "unknown",
                assessment.understood,
                assessment.confidence,
                [row.op for row in parsed.operations] == [row.op for row in operations],
            )
        )
    return rows


def understanding_figures(rows: Sequence[Understood]) -> dict[str, Any]:
    """Shares of unknown sentences that are refused, of known ones that are refused or read right,
    and the reliability of the confidence by bins."""
    known = [row for row in rows if row.known]
    unknown = [row for row in rows if not row.known]
    return {
        "known": len(known),
        "unknown": len(unknown),
        "refused": float(np.mean([not row.understood for row in unknown])),
        "false_refusals": float(np.mean([not row.understood for row in known])),
        "right": float(np.mean([row.right for row in known])),
        "reliability": reliability(rows),
    }


def reliability(rows: Sequence[Understood]) -> list[dict[str, float]]:
    """For each bin of the confidence in known readings: how many, the mean confidence, and the
    share that was right."""
    done = [row for row in rows if row.understood]
    number = np.minimum([int(row.confidence * BINS) for row in done], BINS - 1)
    bins = []
    for index in range(BINS):
        members = [row for row, own in zip(done, number) if own == index]
        if members:
            bins.append(
                {
                    "count": len(members),
                    "confidence": float(np.mean([row.confidence for row in members])),
                    "right": float(np.mean([row.right and row.known for row in members])),
                }
            )
    return bins
