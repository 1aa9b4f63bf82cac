"""Quality of the parser and the connector in every precision, over the held-out scenes: what they
read by themselves, and whole edits with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retouch.api.lanes import LANES
from retouch.artifacts.manifest import FLOAT32, NAME, read
from retouch.artifacts.typed_folder import typed_folder
from retouch.families.connector import Connector
from retouch.families.instructx.parser import Parser
from training.labels import changed_cells
from training.render import render
from training.scenes import Pair

STAGES = ("vl_parser", "connector")
Bar = Callable[[Iterable[Pair], str], Iterable[Pair]]


@dataclass(frozen=True)
class Reading:
    """What parser and connector make of one scene: names of operations, with target and value; the
    cells to edit, bool [N]; prompt embeds float32 [Q, J]."""

    operations: list[tuple[str, str, str]]
    region: np.ndarray
    embeds: np.ndarray


class Reader:
    """Parser and connector of a repository in one precision; "" are the version folders' graphs."""

    def __init__(self, repository: Path, precision: str):
        """ArtifactError when they are not exported."""
        folders = {
            stage: typed_folder(Path(repository) / stage / "1", precision) for stage in STAGES
        }
        self.parser = Parser(folders["vl_parser"], image_bytes=0, parsed_bytes=0)
        self.connector = Connector(folders["connector"])

    def read(self, pair: Pair) -> Reading:
        (parsed,) = self.parser.run(render(pair.source).pixels[None], [pair.instruction])
        operations = [(entry.op, entry.target, entry.value) for entry in parsed.operations]
        embeds = self.connector.run(parsed.queries[None])[0]
        return Reading(operations, parsed.region, embeds)


def exported(repository: Path) -> list[str]:
    """The precisions in which parser and connector are exported, the widest first."""
    folders = [Path(repository) / stage / "1" for stage in STAGES]
    return [
        precision
        for precision in LANES
        if all((typed_folder(folder, precision) / NAME).is_file() for folder in folders)
    ]


def part_bytes(repository: Path, precision: str) -> dict[str, int]:
    """Bytes of the weights by stage; 0 where a manifest does not count them."""
    return {
        stage: sum(read(typed_folder(Path(repository) / stage / "1", precision)).weights.values())
        for stage in STAGES
    }


def reading_figures(
    repository: Path, precisions: Sequence[str], scenes: Sequence[Pair], bar: Bar
) -> dict[str, dict[str, Any]]:
    """Figures by precision, FLOAT32 among them, which the others are compared with.

    `operations` is the share of scenes whose operations are named as the scene has them,
    `operations_kept` the share in which all names are those by FLOAT32. `region_iou` compares with
    the cells that change, `region_iou_kept` with those by FLOAT32. `embeds_error` is the relative
    error of the prompt embeds, and `embeds_worst` the largest of a scene."""
    readings = {
        name or FLOAT32: [reader.read(pair) for pair in bar(scenes, f"reading {name or FLOAT32}")]
        for name, reader in (
            (precision, Reader(repository, precision)) for precision in ("", *precisions)
        )
    }
    expected = readings[FLOAT32]
    return {
        name: _figures(scenes, rows, expected)
        | {"bytes": part_bytes(repository, "" if name == FLOAT32 else name)}
        for name, rows in readings.items()
    }


def _figures(
    scenes: Sequence[Pair], rows: Sequence[Reading], expected: Sequence[Reading]
) -> dict[str, float]:
    errors = [_relative(row.embeds, other.embeds) for row, other in zip(rows, expected)]
    truths = [
        changed_cells(render(pair.source).pixels, render(pair.target).pixels) for pair in scenes
    ]
    return {
        "operations": _share(
            [operation[0] for operation in row.operations] == [edit.op for edit in pair.edits]
            for pair, row in zip(scenes, rows)
        ),
        "operations_kept": _share(
            row.operations == other.operations for row, other in zip(rows, expected)
        ),
        "region_iou": _share(_iou(row.region, truth) for row, truth in zip(rows, truths)),
        "region_iou_kept": _share(
            _iou(row.region, other.region) for row, other in zip(rows, expected)
        ),
        "embeds_error": float(np.mean(errors)),
        "embeds_worst": max(errors),
    }


def _iou(region: np.ndarray, other: np.ndarray) -> float:
    union = int((region | other).sum())
    return int((region & other).sum()) / union if union else 1.0


def _relative(embeds: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(embeds - expected) / np.linalg.norm(expected))


def _share(values: Iterable[float]) -> float:
    return float(np.mean([float(value) for value in values]))
