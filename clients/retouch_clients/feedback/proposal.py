"""Thresholds that people's feedback proposes, in the form of retouch/quality/thresholds, with their
evidence. Nothing applies them by itself."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence

from retouch.quality.thresholds.certify import Scored, certify
from retouch.quality.thresholds.thresholds import ClassThresholds, Thresholds
from retouch_clients.feedback.agreement import GOOD, groups, scored
from retouch_clients.feedback.records import Labelled

NO_OPERATION = "none"


def proposed(labelled: Sequence[Labelled], name: str, at: float) -> Thresholds:
    """Thresholds for the score `name` of the evaluator that has scored most of these answers. `at`
    is in seconds since 1970. ValueError where there are too few answers.

    Answers to one source image stay in one half, so that the other half is unseen."""
    by_evaluator: dict[str, list[Scored]] = {}
    for group in groups(labelled):
        rows = by_evaluator.setdefault(group.evaluator, [])
        rows += [_scored(entry, name) for entry in scored(group, name)]
    if not any(by_evaluator.values()):
        raise ValueError("no answer with feedback has a score")
    evaluator, rows = max(by_evaluator.items(), key=lambda item: len(item[1]))
    day = datetime.datetime.fromtimestamp(at, datetime.timezone.utc).date().isoformat()
    return certify(rows, evaluator, day)


def lines(thresholds: Thresholds) -> Iterable[str]:
    """A sentence on every class, with its evidence."""
    return map(_line, thresholds.classes)


def _scored(entry: Labelled, name: str) -> Scored:
    answer = entry.answer
    operation = answer.operations[0]["op"] if answer.operations else NO_OPERATION
    score = float(answer.scores[name])
    return Scored(answer.source_sha256, answer.lane, operation, score, entry.score < GOOD)


def _line(entry: ClassThresholds) -> str:
    recall, alarms = entry.recall, entry.false_alarms
    is_certified = recall.is_certified and alarms.is_certified
    return (
        f"lane {entry.lane}, operation {entry.operation}: reject below {entry.reject_below:.3f}, "
        f"accept from {entry.accept_from:.3f} "
        f"({'certified' if is_certified else 'a point estimate'}): {recall.k} of {recall.n} bad "
        f"answers are not accepted (at least {recall.low:.1%}), {alarms.k} of {alarms.n} good ones "
        f"are rejected (at most {alarms.high:.1%})."
    )
