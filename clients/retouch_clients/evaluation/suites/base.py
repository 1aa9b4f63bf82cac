"""What every suite has: a reader, a layout, questions to a judge, and formulas."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from retouch_clients.evaluation.item import Item
from retouch_clients.evaluation.question import Question, Value


class SuiteError(ValueError):
    """A data folder that is not the suite's. The message says what was expected."""


@dataclass(frozen=True)
class Figure:
    """A mean over `count` pictures. It has no value where no picture was scored."""

    name: str
    value: float | None
    count: int


Scored = tuple[Item, Mapping[str, float]]  # an item and the scores of its picture


class Suite(ABC):
    """`method` is a model with its settings, such as bf16-seed0: one folder of results each."""

    name: str
    title: str
    suffix = ".png"  # of results
    methods_folder: str  # below the output folder: the parent of the methods' folders

    @abstractmethod
    def read(self, data: Path, out: Path) -> list[Item]:
        """The items of the data folder. Pictures that lie inside other files are unpacked to `out`.

        SuiteError if the folder is not the suite's, or incomplete."""

    @abstractmethod
    def result(self, item: Item) -> str:
        """The path of an item's picture in the folder of a method."""

    def method_folder(self, out: Path, method: str) -> Path:
        return out / self.methods_folder / method

    def result_path(self, out: Path, method: str, item: Item) -> Path:
        return self.method_folder(out, method) / self.result(item)

    def prepare(self, data: Path, out: Path, methods: Sequence[str], items: list[Item]) -> None:
        """Write what the authors' script reads beside the results."""
        return None

    @abstractmethod
    def script(self, data: Path, out: Path, method: str) -> str:
        """How the authors' script is called for the results of a method."""

    @abstractmethod
    def questions(self, item: Item, result: Path) -> list[Question]:
        """What a judge is asked about a result."""

    @abstractmethod
    def scores(self, item: Item, values: Mapping[str, Value]) -> dict[str, float]:
        """The scores of a picture by the judge's values for all its questions."""

    @abstractmethod
    def figures(self, scored: Sequence[Scored]) -> list[Figure]:
        """The suite's means over all scored pictures of a method, the headline first."""


def mean(name: str, values: Sequence[float]) -> Figure:
    """The figure of these values."""
    return Figure(name, sum(values) / len(values) if values else None, len(values))


def groups(scored: Sequence[Scored]) -> dict[str, list[Scored]]:
    """The scored pictures by their group, in the order of the groups' names."""
    names = sorted({item.group for item, _ in scored})
    return {name: [pair for pair in scored if pair[0].group == name] for name in names}
