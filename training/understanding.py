"""How well the parser tells what it can do from what it cannot, on sentences that people wrote."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retouch.artifacts import manifest
from retouch.families.instructx.parser import Parser
from retouch.families.instructx.parser_output import UNKNOWN
from training.example import Example
from training.grammar.held_out import known_sentences, unknown_sentences
from training.operation import Operation
from training.scenes import BUCKETS
from training.scope import in_scope, makes
from training.worlds import picture_for

BINS = 10  # of the reliability table
Sentence = tuple[str, tuple[Operation, ...]]  # and what it asks for


@dataclass(frozen=True)
class Understood:
    """One sentence beside a picture that has its targets. `known` is whether the parser learns what
    it asks for, `made` whether such edits are also made, and `right` whether the operations are
    those that it asks for."""

    example: Example
    known: bool
    made: bool
    understood: bool
    confidence: float
    right: bool


def knows_unknown(repository: Path) -> bool:
    """Whether the repository's parser can tell that it does not understand a sentence.
    ArtifactError where it is not exported."""
    fields = manifest.read(Path(repository) / "vl_parser" / "1").settings.get("fields", {})
    return UNKNOWN in fields.get("op", ())


def held_out_sentences(count: int | None = None) -> list[Sentence]:
    """Sentences of the evaluation and what they ask for; those that are out of the checkpoint's
    scope count as unknown. `count` of them are spread evenly over all, which are the default."""
    known = [(row.sentence, in_scope(row.operations)) for row in known_sentences()]
    rows = known + [(sentence, (Operation(UNKNOWN),)) for sentence in unknown_sentences()]
    if count is None or count >= len(rows):
        return rows
    return [rows[number * len(rows) // count] for number in range(count)]


def read(parser: Parser, sentences: Iterable[Sentence]) -> list[Understood]:
    """What the parser makes of every sentence, beside a held-out picture with its targets.
    FileNotFoundError without photographs."""
    rng = random.Random("held out sentences")
    rows = []
    for number, (sentence, operations) in enumerate(sentences):
        bucket = BUCKETS[number % len(BUCKETS)]
        example = picture_for(rng, bucket, sentence, operations)
        (parsed,) = parser.run(example.source[None], [sentence])
        assessment = parsed.assessment
        known = operations[0].op != UNKNOWN
        rows.append(
            Understood(
                example,
                known,
                known and makes(operations),
                assessment.understood,
                assessment.confidence,
                [row.op for row in parsed.operations] == [row.op for row in operations],
            )
        )
    return rows


def understanding_figures(rows: Sequence[Understood]) -> dict[str, Any]:
    """Shares of sentences that are refused and read right, and the reliability of the confidence
    by bins. A share of no sentence is None.

    `made`, `unmade` and `unknown` count what it does, what it reads and does not make, and the
    rest."""
    made = [row for row in rows if row.made]
    unmade = [row for row in rows if row.known and not row.made]
    unknown = [row for row in rows if not row.known]
    return {
        "made": len(made),
        "unmade": len(unmade),
        "unknown": len(unknown),
        "refused": _refused(unknown),
        "unmade_refused": _refused(unmade),
        "false_refusals": _refused(made),
        "right": _share([row.right for row in made]),
        "unmade_right": _share([row.right for row in unmade]),
        "reliability": reliability(rows),
    }


def reliability(rows: Sequence[Understood]) -> list[dict[str, float]]:
    """For each bin of the confidence in known readings: how many, the mean confidence, and the
    share that was right."""
    done = [row for row in rows if row.understood]
    bins = []
    for index in range(BINS):
        members = [row for row in done if min(int(row.confidence * BINS), BINS - 1) == index]
        if members:
            bins.append(
                {
                    "count": len(members),
                    "confidence": float(np.mean([row.confidence for row in members])),
                    "right": float(np.mean([row.right and row.known for row in members])),
                }
            )
    return bins


def _refused(rows: Sequence[Understood]) -> float | None:
    return _share([not row.understood for row in rows])


def _share(values: Sequence[bool]) -> float | None:
    return float(np.mean(values)) if values else None
