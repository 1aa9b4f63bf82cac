"""Thresholds as a proposal: a JSON file with its evidence, which nothing reads by itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from retouch_clients.feedback.records import Labelled
from retouch_clients.feedback.thresholds import CONFIDENCE, FALSE_ALARMS, RECALL, Thresholds

VERSION = 1


def proposal(
    thresholds: Sequence[Thresholds], labelled: Sequence[Labelled], score: str, at: float
) -> dict[str, Any]:
    """The file's content. `data_sha256` is of the labels, so that the file names its evidence."""
    return {
        "kind": "proposal of thresholds",
        "version": VERSION,
        "made_at": datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="seconds"),
        "score": score,
        "aims": {"recall": RECALL, "false_alarms": FALSE_ALARMS, "confidence": CONFIDENCE},
        "data_sha256": _hash_of(labelled),
        "lanes": [asdict(entry) | {"is_certified": entry.is_certified} for entry in thresholds],
    }


def _hash_of(labelled: Sequence[Labelled]) -> str:
    labels = sorted((entry.answer.id, entry.score, entry.answer.scores) for entry in labelled)
    return hashlib.sha256(json.dumps(labels, sort_keys=True).encode()).hexdigest()
