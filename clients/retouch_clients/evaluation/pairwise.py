"""Comparisons of two results of the same edit: both orders are asked, and where the answers
disagree it is a tie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from retouch_clients.evaluation.answers import Answers, Asked
from retouch_clients.evaluation.bradley_terry import Outcome
from retouch_clients.evaluation.item import Item
from retouch_clients.evaluation.question import Choice, Picture, Question
from retouch_clients.evaluation.suites.base import Suite, SuiteError

FIRST, SECOND, EQUAL = "first", "second", "tie"
BETTER = Choice((FIRST, SECOND, EQUAL))

QUESTION = """A picture was edited twice by this instruction: {instruction}
You see the picture before the edit, then the first result and the second result. Which result is
better? What counts, in this order: the instruction was followed; nothing else was changed; the
picture is natural and without artefacts. Say tie where you see no difference that matters. The
order of the results means nothing."""


@dataclass(frozen=True)
class Side:
    """One of the compared: a name, and a folder of results for each repeat."""

    name: str
    folders: tuple[Path, ...]


@dataclass(frozen=True)
class Pair:
    """An item's results in one repeat, of the baseline and of another side."""

    item: Item
    repeat: int
    baseline: Side
    other: Side

    def name(self, is_swapped: bool) -> str:
        """What the journal calls the comparison, in one of its orders."""
        names = [self.baseline.name, self.other.name]
        return " | ".join([*(reversed(names) if is_swapped else names), f"repeat {self.repeat}"])


def side_of_folder(suite: Suite, folder: Path, items: Sequence[Item]) -> Side:
    """The folder of one method's results, or one that holds such folders, one for each repeat.

    SuiteError where it has no result of the suite."""

    def has_results(path: Path) -> bool:
        return any((path / suite.result(item)).is_file() for item in items)

    if has_results(folder):
        return Side(str(folder), (folder,))
    for parent in (folder, folder / suite.methods_folder):
        if parent.is_dir():
            inner = tuple(path for path in sorted(parent.iterdir()) if has_results(path))
            if inner:
                return Side(str(folder), inner)
    raise SuiteError(
        f"{folder} has no results of {suite.title}; it must hold {suite.result(items[0])} "
        "and its like, or folders that do"
    )


def pairs(suite: Suite, items: Sequence[Item], sides: Sequence[Side]) -> list[Pair]:
    """The items that both sides have a result of, for each side but the first, the baseline."""
    baseline = sides[0]
    return [
        Pair(item, repeat, baseline, other)
        for other in sides[1:]
        for repeat in range(min(len(baseline.folders), len(other.folders)))
        for item in items
        if all((side.folders[repeat] / suite.result(item)).is_file() for side in (baseline, other))
    ]


def questions(suite: Suite, compared: Iterable[Pair]) -> list[Asked]:
    """Each pair in both orders."""
    return [
        Asked(pair.name(is_swapped), pair.item.name, _question(suite, pair, is_swapped))
        for pair in compared
        for is_swapped in (False, True)
    ]


def _question(suite: Suite, pair: Pair, is_swapped: bool) -> Question:
    sides = (pair.other, pair.baseline) if is_swapped else (pair.baseline, pair.other)
    first, second = (side.folders[pair.repeat] / suite.result(pair.item) for side in sides)
    before = [
        Picture("Before the edit:", path) for path in (pair.item.image, *pair.item.references)
    ]
    pictures = (
        *before,
        Picture("The first result:", first, like=pair.item.image),
        Picture("The second result:", second, like=pair.item.image),
    )
    text = QUESTION.format(instruction=pair.item.instruction)
    return Question("better", text, pictures, {"better": BETTER})


def outcomes(compared: Iterable[Pair], answers: Answers) -> list[Outcome]:
    """The outcome of each pair with a readable answer in both orders; the others are left out."""
    result = []
    for pair in compared:
        straight = _answer(answers.values, pair, is_swapped=False)
        swapped = _answer(answers.values, pair, is_swapped=True)
        if straight is None or swapped is None:
            continue
        winner = None
        if (straight, swapped) == (FIRST, SECOND):
            winner = pair.baseline.name
        elif (straight, swapped) == (SECOND, FIRST):
            winner = pair.other.name
        result.append(Outcome(pair.item.name, pair.baseline.name, pair.other.name, winner))
    return result


def _answer(
    values: Mapping[tuple[str, str], Mapping[str, object]], pair: Pair, is_swapped: bool
) -> object:
    return values.get((pair.name(is_swapped), pair.item.name), {}).get("better")
