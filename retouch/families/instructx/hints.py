"""Hints for an instruction that is not understood: what a checkpoint can do, and examples."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from retouch.api.response import NOTHING, Hint, Operation
from retouch.families.instructx.assessment import Assessment
from retouch.families.instructx.parser_output import NONE, UNKNOWN, Fields

FILE = "examples.json"  # of a checkpoint, and beside its parser's graphs
COUNT = 3  # of examples in a hint
COMPARED = 120  # characters of an instruction: comparing takes quadratic time
MOST_NAMES = 12  # of operations in a sentence


@dataclass(frozen=True)
class Example:
    """An instruction that the checkpoint understands, and its operation."""

    sentence: str
    op: str


class Hints:
    """The hints of one checkpoint, by the values of its parser's heads and its examples."""

    def __init__(
        self,
        fields: Fields,
        examples: Collection[Example] = (),
        unsupported: Collection[str] = (),
    ):
        left_out = {NONE, NOTHING, UNKNOWN, *unsupported}
        self._operations = [op for op in fields["op"] if op not in left_out]
        self._examples = [example for example in examples if example.op not in unsupported]

    @classmethod
    def of(cls, folder: Path, fields: Fields, unsupported: Collection[str] = ()) -> Hints:
        """With the examples in the folder, if it has any; ValueError when they are not of these
        `fields`."""
        path = Path(folder) / FILE
        examples = _read(path, fields["op"]) if path.is_file() else ()
        return cls(fields, examples, unsupported)

    def hint(self, instruction: str, assessment: Assessment) -> Hint | None:
        """None for an instruction that is understood."""
        if assessment.understood:
            return None
        ops = {operation.op for operation in assessment.operations}
        return Hint(self._message(assessment), self.nearest(instruction, ops))

    def nearest(self, instruction: str, ops: Collection[str] = ()) -> list[str]:
        """The examples most like an instruction, those of the operations `ops` first."""
        matcher = SequenceMatcher(autojunk=False)
        matcher.set_seq2(instruction[:COMPARED].casefold())

        def distance(example: Example) -> tuple[bool, float]:
            matcher.set_seq1(example.sentence[:COMPARED].casefold())
            return example.op not in ops, -matcher.ratio()

        nearest = sorted(self._examples, key=distance)
        return list(dict.fromkeys(example.sentence for example in nearest))[:COUNT]

    def _message(self, assessment: Assessment) -> str:
        """What is wrong with an instruction, and what is allowed."""
        if assessment.reason == "target_not_found":
            targets = dict.fromkeys(operation.target for operation in assessment.missing)
            return (
                f"INSTRUCTION names what is not in the picture: {', '.join(targets)}; "
                "name something that is there"
            )
        readings = ", ".join(map(_text, assessment.operations))
        if assessment.reason == "low_confidence":
            return f"INSTRUCTION may mean {readings}, or not; say it in other words"
        if assessment.reason == "unsupported":
            return f"INSTRUCTION asks for {readings}; the edits are {self._names()}"
        return f"INSTRUCTION is not understood; the edits are {self._names()}"

    def _names(self) -> str:
        names = self._operations[:MOST_NAMES]
        more = len(self._operations) - len(names)
        *first, last = [*names, f"{more} others"] if more else names
        return f"{', '.join(first)} and {last}" if first else last


def _read(path: Path, ops: Collection[str]) -> list[Example]:
    """The examples of a file; ValueError."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        examples = [Example(**row) for row in rows]
        if all(isinstance(row.sentence, str) and row.op in ops for row in examples):
            return examples
    except (ValueError, TypeError):
        pass
    raise ValueError(
        f'{FILE} must be a list of {{"sentence": "…", "op": "…"}}, with ops of the parser\'s heads'
    )


def _text(operation: Operation) -> str:
    return " ".join(filter(None, (operation.op, operation.target, operation.value)))
