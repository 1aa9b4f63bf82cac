"""The edits of an evaluation: all items of a suite, once for each seed, as one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retouch.client import AsyncRetouch
from retouch_clients.batch.job import Job
from retouch_clients.batch.journal import Journal
from retouch_clients.batch.progress import run_with_bar
from retouch_clients.batch.run import Run
from retouch_clients.cli.output_files import format_of
from retouch_clients.evaluation.item import Item
from retouch_clients.evaluation.suites.base import Suite


@dataclass(frozen=True)
class Method:
    """One lane with one seed: a folder of results of its own."""

    lane: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.lane}-seed{self.seed}"


def methods_of(lane: str, seed: int, repeats: int) -> list[Method]:
    """The repeats of a lane, each with the seed after the one before."""
    return [Method(lane, seed + repeat) for repeat in range(repeats)]


def jobs(
    suite: Suite, items: Sequence[Item], methods: Sequence[Method], options: Mapping[str, Any]
) -> list[Job]:
    """An edit of each item by each method. `options` are further attributes of a request."""
    return [
        Job(
            item.image,
            item.instruction,
            f"{suite.methods_folder}/{method.name}/{suite.result(item)}",
            {
                **options,
                "precision": method.lane,
                "seed": method.seed,
                "references": item.references,
                "format": format_of(suite.result(item)),
            },
        )
        for method in methods
        for item in items
    ]


def run(
    edits: list[Job], out: Path, client: AsyncRetouch, workers: int, force: bool = False
) -> Run:
    """Make the edits that the journal in `out` does not have yet, with a progress bar.

    A failed edit does not stop the others; RequestError if the server is gone."""
    with Journal(out) as journal:
        return run_with_bar(edits, out, client, journal, workers, force)
