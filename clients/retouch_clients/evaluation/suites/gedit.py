"""GEdit-Bench: real users' edits of real photographs, in English and Chinese.

Layout and formulas: stepfun-ai/Step1X-Edit, GEdit-Bench. The questions are ours."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from retouch_clients.cli.output_files import write_output
from retouch_clients.evaluation.item import Item
from retouch_clients.evaluation.pictures import as_png
from retouch_clients.evaluation.question import Picture, Question, Score, Value
from retouch_clients.evaluation.suites import files, gedit_parquet
from retouch_clients.evaluation.suites.base import Figure, Scored, Suite, SuiteError, groups, mean

METADATA = "metadata.jsonl"
LANGUAGES = ("en", "cn")  # the authors' statistics tool offers zh, which the data does not have
SOURCE = "_SRCIMG"  # after the key: the name of the source beside a result
EXPECTED = (
    "it must hold the data set's .parquet files, or metadata.jsonl with one row per edit "
    "(task_type, key, instruction, instruction_language, input_image, Intersection_exist) "
    "and the pictures that it names"
)

TEN = Score(0, 10, whole=False)

EDITED = """The first picture was edited by this instruction: {instruction}
The second picture is the result. Give two scores from 0 to 10.
success: how far the instruction was followed. 10: exactly, 5: in part, 0: not at all.
restraint: how far everything else was left alone. 10: nothing else changed, 5: some of it did,
0: the result is another picture."""
PLAUSIBLE = """This picture was made by an image model. Give two scores from 0 to 10, without regard
to its subject.
natural: light, shadows, distances and proportions as in a real scene. 10: fully, 0: not at all.
clean: no distortion, blur, watermark, torn edges or broken faces, hands and things. 10: none of it,
0: it is everywhere."""


class GEdit(Suite):
    name = "gedit"
    title = "GEdit-Bench"
    methods_folder = "results"

    def read(self, data: Path, out: Path) -> list[Item]:
        tables = gedit_parquet.tables(data)
        if tables and not (data / METADATA).is_file():
            folder = gedit_parquet.unpack(tables, out / "data", METADATA)
        else:
            folder = data
        path = folder / METADATA
        if not path.is_file():
            raise SuiteError(f"{data} is not the data of GEdit-Bench: {EXPECTED}")
        lines = files.read_text(path).split("\n")
        items = [_item(line, n, folder) for n, line in enumerate(lines, 1) if line.strip()]
        if not items:
            raise SuiteError(f"{path} has no rows; {EXPECTED}")
        if len({item.name for item in items}) < len(items):
            raise SuiteError(f"{path}: two rows have the same task_type, language and key")
        return items

    def result(self, item: Item) -> str:
        return f"fullset/{item.name}{self.suffix}"

    def source(self, item: Item) -> str:
        """The source that the authors' script reads beside the result."""
        return f"fullset/{item.name}{SOURCE}{self.suffix}"

    def prepare(self, data: Path, out: Path, methods: Sequence[str], items: list[Item]) -> None:
        for method in methods:
            for item in items:
                path = self.method_folder(out, method) / self.source(item)
                if not path.is_file():
                    write_output(path, as_png(item.details["shown"]), force=True)

    def script(self, data: Path, out: Path, method: str) -> str:
        return (
            f"the scripts of GEdit-Bench read {out / self.methods_folder}, model name {method}, "
            "languages en and cn"
        )

    def questions(self, item: Item, result: Path) -> list[Question]:
        source = item.details["shown"]
        edited = Picture("The second picture:", result, like=source)
        text = EDITED.format(instruction=item.instruction)
        return [
            Question(
                "edit",
                text,
                (Picture("The first picture:", source), edited),
                {"success": TEN, "restraint": TEN},
            ),
            Question(
                "picture",
                PLAUSIBLE,
                (Picture("The picture:", result, like=source),),
                {"natural": TEN, "clean": TEN},
            ),
        ]

    def scores(self, item: Item, values: Mapping[str, Value]) -> dict[str, float]:
        parts = {name: float(value) for name, value in values.items()}
        consistency = min(parts["success"], parts["restraint"])
        quality = min(parts["natural"], parts["clean"])
        return parts | {
            "consistency": consistency,
            "quality": quality,
            "overall": math.sqrt(consistency * quality),
        }

    def figures(self, scored: Sequence[Scored]) -> list[Figure]:
        result = []
        for language in LANGUAGES:
            rows = [pair for pair in scored if pair[0].details["instruction_language"] == language]
            common = [pair for pair in rows if pair[0].details.get("Intersection_exist")]
            for suffix, pairs in (("", rows), (", intersection", common)):
                for name, part in (("O", "overall"), ("SC", "consistency"), ("PQ", "quality")):
                    result.append(macro(f"G_{name} {language.upper()}{suffix}", pairs, part))
        for group, pairs in groups(scored).items():
            result.append(mean(f"{group}: O", [scores["overall"] for _, scores in pairs]))
        return [figure for figure in result if figure.count]


def macro(name: str, scored: Sequence[Scored], part: str) -> Figure:
    """The mean over the tasks' means, so that each task counts alike."""
    means = [
        sum(scores[part] for _, scores in pairs) / len(pairs) for pairs in groups(scored).values()
    ]
    return Figure(name, sum(means) / len(means) if means else None, len(scored))


def _item(line: str, number: int, folder: Path) -> Item:
    place = f"{METADATA}, line {number}"
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise SuiteError(f"{place} is not a JSON object; {EXPECTED}")
    task = files.name_of(files.text_of(row, "task_type", place), place)
    key = files.name_of(files.text_of(row, "key", place), place)
    language = files.text_of(row, "instruction_language", place)
    if language not in LANGUAGES:
        raise SuiteError(f"{place}: instruction_language is {language}; it is en or cn")
    if not isinstance(row.get("Intersection_exist", False), bool):
        raise SuiteError(f"{place}: Intersection_exist must be true or false")
    shown = files.picture([folder], files.text_of(row, "input_image", place), place)
    raw = row.get("input_image_raw")
    return Item(
        f"{task}/{language}/{key}",
        task,
        files.text_of(row, "instruction", place),
        files.picture([folder], str(raw), place) if raw else shown,
        details=row | {"shown": shown},
    )
