"""KRIS-Bench: edits that need knowledge of facts, concepts or procedures.

Layout: mercurystraw/Kris_Bench, metrics_*.py. The questions are ours.

The scripts read other names than the data set has: folders (`SCRIPT_NAMES`) and the columns
`instruction` and `explain`. So the data is copied for them under their names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from retouch_clients.evaluation.item import Item
from retouch_clients.evaluation.question import Picture, Question, Score, Value
from retouch_clients.evaluation.suites import files
from retouch_clients.evaluation.suites.base import Figure, Scored, Suite, SuiteError, groups, mean

ANNOTATION = "annotation.json"
BENCH = "KRIS_Bench"
SCRIPT_NAMES = {  # folders of the data set that the scripts have another name for
    "count_change": "object_count",
    "practical_knowledge": "daily_life",
    "rule-based_reasoning": "rule_reasoning",
    "viewpoint_change": "view_pair",
}
TEMPORAL = "temporal_prediction"
MULTIPLE = "multi-element_composition"
VIEW = "view_pair"
COMMON = (
    "object_count",
    "color_change",
    "anomaly_correction",
    "position_movement",
    "size_adjustment",
    "part_completion",
    "multi-instruction_execution",
)
KNOWLEDGE = (
    "abstract_reasoning",
    "mathematics",
    "daily_life",
    "medicine",
    "rule_reasoning",
    "biology",
    "geography",
    "chemistry",
    "humanities",
    "physics",
)
SCRIPTS = (
    [*COMMON, "metrics_common.py"],
    [*KNOWLEDGE, "metrics_knowledge.py"],
    [VIEW, "metrics_view_change.py"],
    [MULTIPLE, "metrics_multi_element.py"],
    [TEMPORAL, "metrics_temporal_prediction.py"],
)
CATEGORIES = (*COMMON, *KNOWLEDGE, VIEW, MULTIPLE, TEMPORAL)
INSTRUCTION = ("instruction", "ins_en")
EXPLANATION = ("explain", "explain_en")
EXPECTED = (
    "it must hold a folder for each category with annotation.json, an object of "
    "id: {ori_img, instruction or ins_en, explain or explain_en}, and the pictures that it names"
)
FRAME = re.compile(r"\d+-(\d+)")

FIVE = Score(1, 5)
PARTS = ("consistency", "instruction", "knowledge", "quality")

CONSISTENCY = """The last picture was made from the picture or pictures before it, by this
instruction: {instruction}
Judge only what the instruction does not ask to change: things, people, background, style and
layout. Changes that it asks for are no faults. 5: all of it stayed. 4: one small thing differs.
3: several things differ. 2: much differs. 1: nearly everything differs."""
INSTRUCTED = """The last picture was made from the picture or pictures before it, by this
instruction: {instruction}
{expected}Judge only whether the instruction was followed, in all its parts. 5: exactly. 4: with a
small deviation. 3: in part. 2: hardly. 1: not at all."""
KNOWING = """The second picture was made from the first, by this instruction: {instruction}
{expected}Give two scores from 1 to 5.
instruction: was the instruction followed, in all its parts? 5: exactly, 3: in part, 1: not at all.
knowledge: does the result agree with what is known of the world, as explained? 5: fully,
3: in part, 1: it contradicts it."""
QUALITY = """This picture was made by an image model. Judge only how it is made: sharpness, whole
objects, natural light and texture, and no artefacts. 5: no fault. 4: a small fault.
3: several faults. 2: severe faults. 1: mostly broken."""


class Kris(Suite):
    name = "kris"
    title = "KRIS-Bench"
    suffix = ".jpg"  # the scripts read no other
    methods_folder = "results"

    def read(self, data: Path, out: Path) -> list[Item]:
        root = _root(data)
        items = []
        for folder in sorted(path.parent for path in root.glob(f"*/{ANNOTATION}")):
            category = SCRIPT_NAMES.get(folder.name, folder.name)
            if category not in CATEGORIES:
                raise SuiteError(
                    f"{folder}: {folder.name} is no category of KRIS-Bench; {EXPECTED}"
                )
            rows = files.read_json(folder / ANNOTATION)
            if not isinstance(rows, dict) or not rows:
                raise SuiteError(f"{folder / ANNOTATION} is not an object of items; {EXPECTED}")
            items += [_item(category, key, row, folder) for key, row in rows.items()]
        if len({item.name for item in items}) < len(items):
            raise SuiteError(f"{data} has a category twice: by the data's name and the scripts'")
        return items

    def result(self, item: Item) -> str:
        return f"{item.name}{self.suffix}"

    def prepare(self, data: Path, out: Path, methods: Sequence[str], items: list[Item]) -> None:
        annotations: dict[str, dict[str, Any]] = {}
        for item in items:
            category, _, key = item.name.partition("/")
            row = dict(item.details)
            folder = row.pop("folder")
            annotations.setdefault(category, {})[key] = row
            for name in (*_names(row), row.get("gt_img")):
                if name:
                    copy = out / BENCH / category / name
                    files.copy_once(files.picture([folder], name, item.name), copy)
        for category, rows in annotations.items():
            files.write_json(out / BENCH / category / ANNOTATION, rows)

    def script(self, data: Path, out: Path, method: str) -> str:
        present = {path.parent.name for path in (out / BENCH).glob(f"*/{ANNOTATION}")}
        scripts = [script for *names, script in SCRIPTS if present & set(names)]
        return " && ".join(f"python {script} --models {method}" for script in scripts) + (
            f"  (in {out})"
        )

    def questions(self, item: Item, result: Path) -> list[Question]:
        pictures = _shown(item, result)
        consistency = CONSISTENCY.format(instruction=item.instruction)
        return [
            Question("consistency", consistency, pictures, {"consistency": FIVE}),
            _instructed(item, result, pictures),
            Question("quality", QUALITY, (Picture("The picture:", result),), {"quality": FIVE}),
        ]

    def scores(self, item: Item, values: Mapping[str, Value]) -> dict[str, float]:
        parts = {name: float(values[name]) for name in PARTS if name in values}
        return parts | {"overall": sum(parts.values()) / len(parts)}

    def figures(self, scored: Sequence[Scored]) -> list[Figure]:
        result = [mean("overall", [scores["overall"] for _, scores in scored])]
        for part in PARTS:
            result.append(mean(part, [scores[part] for _, scores in scored if part in scores]))
        for group, pairs in groups(scored).items():
            result.append(mean(group, [scores["overall"] for _, scores in pairs]))
        return result


def _root(data: Path) -> Path:
    for folder in (data, data / BENCH):
        if any(folder.glob(f"*/{ANNOTATION}")):
            return folder
    raise SuiteError(f"{data} is not the data of KRIS-Bench: {EXPECTED}")


def _item(category: str, key: str, row: Any, folder: Path) -> Item:
    place = f"{folder.name}/{key}"
    if not isinstance(row, dict):
        raise SuiteError(f"{place} is not a JSON object; {EXPECTED}")
    if not _names(row):
        raise SuiteError(f"{place} has no ori_img")
    image, *references = (files.picture([folder], name, place) for name in _names(row))
    if row.get("gt_img"):
        files.picture([folder], str(row["gt_img"]), place)
    instruction = files.text_of(row, INSTRUCTION, place)
    explanation = next((str(row[name]) for name in EXPLANATION if row.get(name)), "")
    details = row | {"instruction": instruction, "explain": explanation, "folder": folder}
    name = f"{category}/{files.name_of(key, place)}"
    return Item(name, category, instruction, image, tuple(references), details)


def _names(row: Mapping[str, Any]) -> list[str]:
    """The names of the source pictures: a text, or a list where there are several."""
    names = row.get("ori_img") or []
    return [str(name) for name in names] if isinstance(names, list) else [str(names)]


def _frame(name: str) -> str:
    """The number of a frame in a file's name such as 51-2.png."""
    match = FRAME.search(name)
    return f"Frame {match[1]}:" if match else "A frame:"


def _shown(item: Item, result: Path) -> tuple[Picture, ...]:
    """The source or sources, and then the result."""
    names = _names(item.details)
    sources = [item.image, *item.references]
    if item.group == TEMPORAL:
        labels = [_frame(name) for name in names]
    elif len(sources) == 1:
        labels = ["The picture before the edit:"]
    else:
        labels = [f"Picture {number}:" for number in range(1, len(sources) + 1)]
    before = [Picture(label, path) for label, path in zip(labels, sources)]
    return *before, Picture("The result:", result)


def _instructed(item: Item, result: Path, pictures: tuple[Picture, ...]) -> Question:
    """How far the instruction was followed; with knowledge where the category asks for it."""
    explanation = item.details["explain"]
    expected = f"This is expected, and why: {explanation}\n" if explanation else ""
    if item.group in KNOWLEDGE:
        text = KNOWING.format(instruction=item.instruction, expected=expected)
        return Question("knowledge", text, pictures, {"instruction": FIVE, "knowledge": FIVE})
    truth = item.details.get("gt_img")
    if truth and item.group == VIEW:
        expected = "The first picture is the correct answer, for comparison only.\n"
        correct = Picture("The correct answer:", item.details["folder"] / truth)
        pictures = (correct, *pictures)
    text = INSTRUCTED.format(instruction=item.instruction, expected=expected)
    return Question("instruction", text, pictures, {"instruction": FIVE})
