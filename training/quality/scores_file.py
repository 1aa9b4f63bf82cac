"""The file of scored answers that thresholds are certified on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from retouch.quality.schema import Key, SettingError, read_table
from retouch.quality.thresholds.certify import Scored

FILE = {
    "evaluator": Key(str, pattern=r"\S.{0,99}", allowed="1 to 100 characters"),
    "answers": Key(list),
}
ANSWER = {
    "id": Key(str, pattern=r".{1,200}", allowed="1 to 200 characters"),
    "lane": Key(str, pattern=r"[^*].{0,63}", allowed="1 to 64 characters"),
    "operation": Key(str, pattern=r"[^*].{0,63}", allowed="1 to 64 characters"),
    "score": Key(float, low=0, high=1),
    "spoiled": Key(bool),
}


@dataclass(frozen=True)
class ScoresFile:
    """The evaluator's version and the answers that it has scored."""

    evaluator: str
    answers: list[Scored]


def read_scores(path: Path) -> ScoresFile:
    """The scores of a JSON file: `{"evaluator": …, "answers": [{"id": …, "lane": …, "operation": …,
    "score": …, "spoiled": …}, …]}`. SettingError for anything else."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as failure:
        raise SettingError("NOT_READABLE", "", f"the scores cannot be read: {failure}") from None
    values = read_table(FILE, record)
    answers = [
        Scored(*read_table(ANSWER, entry, f"answers[{index}]").values())
        for index, entry in enumerate(values["answers"])
    ]
    return ScoresFile(values["evaluator"], answers)
