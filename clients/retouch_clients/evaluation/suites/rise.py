"""RISEBench: edits that need reasoning about time, cause, space or logic.

Layout and formulas: PhoenixZ810/RISEBench, gpt_eval.py. The questions are ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from retouch_clients.evaluation.item import Item
from retouch_clients.evaluation.question import Picture, Question, Score, Value
from retouch_clients.evaluation.suites import files
from retouch_clients.evaluation.suites.base import Figure, Scored, Suite, SuiteError, groups, mean

LISTS = ("datav2_total_w_subtask.json", "data_total.json")  # the full set, and the 64 items
LOGICAL = "logical_reasoning"
SPATIAL = "spatial_reasoning"
CATEGORIES = ("temporal_reasoning", "causal_reasoning", SPATIAL, LOGICAL)
# columns that the authors' script reads of every row; null is enough. It must not have
# `reasoning_wo_ins` too: the script asks by the column's presence, not by its value.
READ_ALWAYS = ("reasoning_img", "subtask")
# true or null: in pandas a missing cell, and a null among numbers, is NaN, which counts as true
FREE = "consistency_free"
EXPECTED = (
    f"it must hold {LISTS[1]} (the 64 items of the repository's data folder) or {LISTS[0]} "
    "(the full set), and the pictures that it names"
)

FIVE = Score(1, 5)
BOTH = Score(0, 1)

CONSISTENT = """The first picture was edited by this instruction: {instruction}
The second picture is the result. Judge only what the instruction does not ask to change: layout,
identity of people and things, style, background and viewpoint. Changes that follow from the
instruction are no faults. 5: all of it stayed. 4: one small thing differs. 3: several things
differ. 2: much differs. 1: it is another picture."""
REASONED = """A picture was edited by this instruction: {instruction}
{pictures}{expected}Judge only whether the result shows what the instruction leads to, by knowledge
and reasoning. 5: fully and exactly. 4: right, with a small detail missing. 3: about half of it.
2: a trace of it. 1: not at all, or the contrary."""
PLAUSIBLE = """This picture was made by an image model. Judge only how it is made: sharpness, clean
edges, whole objects, right anatomy, plausible light and no artefacts. Not its subject or style.
5: no fault. 4: a small fault. 3: several faults. 2: severe faults. 1: mostly broken."""
LOGICAL_CONSISTENT = """The task of an image editor was: {instruction}
The first picture is {first}, the second picture is the editor's. Answer 1 if the editor kept the
style, the layout and the elements that the task does not ask to change, and 0 if not."""
LOGICAL_REASONED = """The task of an image editor was: {instruction}
{pictures}{expected}Answer 1 if the editor's picture shows the correct solution, complete and
without contradiction, and 0 if not."""


class Rise(Suite):
    name = "rise"
    title = "RISEBench"
    methods_folder = "outputs"

    def read(self, data: Path, out: Path) -> list[Item]:
        path = _list_file(data)
        rows = files.read_json(path)
        if not isinstance(rows, list) or not rows:
            raise SuiteError(f"{path} is not a list of items; {EXPECTED}")
        items = [_item(row, number, path.parent) for number, row in enumerate(rows, 1)]
        if len({item.name for item in items}) < len(items):
            raise SuiteError(f"{path}: two items have the same index")
        return items

    def result(self, item: Item) -> str:
        return f"images/{item.group}/{item.name}{self.suffix}"

    def prepare(self, data: Path, out: Path, methods: Sequence[str], items: list[Item]) -> None:
        files.write_json(out / "data.json", _complete([dict(item.details) for item in items]))

    def script(self, data: Path, out: Path, method: str) -> str:
        results = self.method_folder(out, method)
        pictures = _list_file(data).parent
        return (
            f"python gpt_eval.py --data {out / 'data.json'} --input {pictures} --output {results}"
        )

    def questions(self, item: Item, result: Path) -> list[Question]:
        if item.group == LOGICAL:
            return _logical_questions(item, result)
        reference = _reference_picture(item) if item.group == SPATIAL else None
        asked = [_reasoning(item, result, reference)]
        if not _is_free(item):
            before = Picture("The first picture:", reference or item.image)
            text = CONSISTENT.format(instruction=item.instruction)
            pictures = (before, Picture("The second picture:", result))
            asked.insert(0, Question("consistency", text, pictures, {"consistency": FIVE}))
        pictures = (Picture("The picture:", result),)
        asked.append(Question("plausibility", PLAUSIBLE, pictures, {"plausibility": FIVE}))
        return asked

    def scores(self, item: Item, values: Mapping[str, Value]) -> dict[str, float]:
        parts = {name: float(value) for name, value in values.items()}
        if item.group == LOGICAL:
            parts = {name: 1 + 4 * value for name, value in parts.items()}
        return parts | {
            "score": weighted(item.group, _is_free(item), parts),
            "accuracy": float(all(value == 5 for value in parts.values())),
        }

    def figures(self, scored: Sequence[Scored]) -> list[Figure]:
        result = [
            mean("accuracy, %", [100 * scores["accuracy"] for _, scores in scored]),
            mean("score, %", [percent(scores["score"]) for _, scores in scored]),
        ]
        for part in ("reasoning", "consistency", "plausibility"):
            values = [percent(scores[part]) for _, scores in scored if part in scores]
            result.append(mean(f"{part}, %", values))
        for group, pairs in groups(scored).items():
            result.append(mean(f"{group}: accuracy, %", [100 * s["accuracy"] for _, s in pairs]))
            result.append(mean(f"{group}: score, %", [percent(s["score"]) for _, s in pairs]))
        return result


def percent(score: float) -> float:
    """1 to 5 as 0 to 100."""
    return 25 * (score - 1)


def weighted(group: str, is_free: bool, parts: Mapping[str, float]) -> float:
    """The score of an item, from 1 to 5: halved, but not below 1, where nothing was reasoned."""
    reasoning = parts["reasoning"]
    if group == LOGICAL:
        score = 0.3 * parts["consistency"] + 0.7 * reasoning
    elif is_free:
        score = 0.8 * reasoning + 0.2 * parts["plausibility"]
    else:
        score = 0.3 * parts["consistency"] + 0.5 * reasoning + 0.2 * parts["plausibility"]
    return max(score * 0.5, 1.0) if reasoning == 1 else score


def _list_file(data: Path) -> Path:
    for folder in (data, data / "data"):
        for name in LISTS:
            if (folder / name).is_file():
                return folder / name
    raise SuiteError(f"{data} is not the data of RISEBench: {EXPECTED}")


def _item(row: Any, number: int, folder: Path) -> Item:
    place = f"item {number}"
    if not isinstance(row, dict):
        raise SuiteError(f"{place} is not a JSON object; {EXPECTED}")
    name = files.name_of(files.text_of(row, "index", place), place)
    place = f"item {name}"
    group = files.text_of(row, "category", place)
    if group not in CATEGORIES:
        raise SuiteError(f"{place}: category {group} is unknown; it is {', '.join(CATEGORIES)}")
    if not any(row.get(column) for column in ("reference", "reference_txt", "reference_img")):
        raise SuiteError(f"{place} has no reference, reference_txt or reference_img")
    image = files.picture([folder], files.text_of(row, "image", place), place)
    if row.get("reference_img"):
        reference = files.picture([folder], str(row["reference_img"]), place)
        row = row | {"reference_path": reference}
    instruction = files.text_of(row, "instruction", place)
    return Item(name, group, instruction, image, details=row)


def _complete(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with the columns that the authors' script needs, as null where there are none."""
    has_free = any(FREE in row for row in rows)
    for row in rows:
        row.pop("reference_path", None)
        for column in READ_ALWAYS:
            row.setdefault(column, None)
        if has_free:
            row[FREE] = True if row.get(FREE) else None
    return rows


def _is_free(item: Item) -> bool:
    return bool(item.details.get(FREE)) and item.group != LOGICAL


def _reference_picture(item: Item) -> Path | None:
    return item.details.get("reference_path")


def _reasoning(item: Item, result: Path, reference: Path | None) -> Question:
    """The result, with the reference picture or the source where the item asks for one."""
    before = reference or (item.image if item.details.get("reasoning_img") else None)
    kind = "the correct result" if reference else "the picture before the edit"
    expected = item.details.get("reference") if not reference else ""
    text = REASONED.format(
        instruction=item.instruction,
        pictures=f"The first picture is {kind}, the second the result.\n" if before else "",
        expected=f"The result should show this: {expected}\n" if expected else "",
    )
    shown = _pair(before, result) if before else (Picture("The result:", result),)
    return Question("reasoning", text, shown, {"reasoning": FIVE})


def _logical_questions(item: Item, result: Path) -> list[Question]:
    solution = item.details.get("reference_txt")
    reference = None if solution else _reference_picture(item)
    text = LOGICAL_CONSISTENT.format(
        instruction=item.instruction,
        first="the correct solution" if reference else "the picture before the edit",
    )
    consistency = Question(
        "consistency", text, _pair(reference or item.image, result), {"consistency": BOTH}
    )
    text = LOGICAL_REASONED.format(
        instruction=item.instruction,
        pictures="The first picture is the correct solution, the second the editor's.\n"
        if reference
        else "",
        expected="" if reference else f"The solution is: {solution or item.details['reference']}\n",
    )
    shown = _pair(reference, result) if reference else (Picture("The editor's picture:", result),)
    return [consistency, Question("reasoning", text, shown, {"reasoning": BOTH})]


def _pair(before: Path, result: Path) -> tuple[Picture, ...]:
    return Picture("The first picture:", before), Picture("The second picture:", result)
