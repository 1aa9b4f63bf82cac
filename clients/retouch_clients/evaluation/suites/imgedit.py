"""ImgEdit-Bench, basic suite: single edits of nine types.

Layout and formulas: PKU-YuanGroup/ImgEdit, Benchmark/Basic. The questions are ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from retouch_clients.evaluation.item import Item
from retouch_clients.evaluation.question import Picture, Question, Score, Value
from retouch_clients.evaluation.suites import files
from retouch_clients.evaluation.suites.base import Figure, Scored, Suite, SuiteError, groups, mean

LISTS = ("basic_edit.json", "singleturn.json")
LIST_FOLDERS = (".", "Basic", "Benchmark/Basic", "singleturn", "Benchmark/singleturn")
EXPECTED = (
    "it must hold basic_edit.json, an object of key: {id, prompt, edit_type}, "
    "and the pictures by their id (Benchmark.tar of the data set)"
)

FIVE = Score(1, 5)
PARTS = ("followed", "made", "kept")

QUESTION = """The first picture was edited by this instruction: {instruction}
The second picture is the result. The edit is of the kind “{kind}”. Give three scores from 1 to 5.
followed: {followed} 5: exactly, 3: in part, 1: not at all.
made: {made} 5: without a fault, 3: with visible faults, 1: broken.
kept: {kept} 5: all of it, 3: most of it, 1: hardly any.
An edit that was not made cannot be made well: made and kept may not be higher than followed."""
SEAMS = "Do light, shadow, perspective and texture fit together, without seams or artefacts?"
REST = "Did everything that the instruction does not name stay as it was?"
# by edit type: what `followed`, `made` and `kept` ask
CRITERIA = {
    "add": ("Is the new thing there, as described and in its place?", SEAMS, REST),
    "adjust": ("Does the named thing have the named property now?", SEAMS, REST),
    "replace": ("Is the named thing gone, and the new one in its place?", SEAMS, REST),
    "remove": (
        "Is the named thing gone, with all of its shadow and reflection?",
        "Is the place that it covered filled plausibly, without traces?",
        REST,
    ),
    "background": (
        "Is the background the one that was asked for?",
        "Do the borders and the light of the subject fit the new background?",
        "Did the subject stay as it was?",
    ),
    "style": (
        "Does the whole picture have the style that was asked for?",
        "Is the style carried through evenly, without artefacts?",
        "Are subject, layout and details of the content recognisable?",
    ),
    "extract": (
        "Is the named thing alone on a plain background?",
        "Are its edges clean and complete?",
        "Are its shape, colour and texture those of the first picture?",
    ),
    "action": (
        "Does the subject do what was asked for?",
        "Is the new pose natural, with whole limbs and without artefacts?",
        "Are the subject's identity and its surroundings as they were?",
    ),
    "compose": ("Were all parts of the instruction followed?", SEAMS, REST),
}
OTHER = ("Was the instruction followed?", SEAMS, REST)


class ImgEdit(Suite):
    name = "imgedit"
    title = "ImgEdit-Bench (basic)"
    methods_folder = "results"

    def read(self, data: Path, out: Path) -> list[Item]:
        path = _list_file(data)
        rows = files.read_json(path)
        if not isinstance(rows, dict) or not rows:
            raise SuiteError(f"{path} is not an object of items; {EXPECTED}")
        folders = _picture_folders(data, path)
        return [_item(key, row, folders) for key, row in rows.items()]

    def result(self, item: Item) -> str:
        return f"{item.name}{self.suffix}"

    def script(self, data: Path, out: Path, method: str) -> str:
        path = _list_file(data)
        first = next(iter(files.read_json(path).values()))
        root = files.picture(_picture_folders(data, path), first["id"], "the first item")
        for _ in Path(first["id"]).parts:
            root = root.parent
        return (
            f"python basic_bench.py --result_img_folder {self.method_folder(out, method)} "
            f"--edit_json {path} --origin_img_root {root} --prompts_json prompts.json"
        )

    def questions(self, item: Item, result: Path) -> list[Question]:
        followed, made, kept = CRITERIA.get(item.group, OTHER)
        text = QUESTION.format(
            instruction=item.instruction, kind=item.group, followed=followed, made=made, kept=kept
        )
        pictures = Picture("The first picture:", item.image), Picture("The second picture:", result)
        return [Question("edit", text, pictures, dict.fromkeys(PARTS, FIVE))]

    def scores(self, item: Item, values: Mapping[str, Value]) -> dict[str, float]:
        parts = {name: float(values[name]) for name in PARTS}
        return parts | {"overall": sum(parts.values()) / len(parts)}

    def figures(self, scored: Sequence[Scored]) -> list[Figure]:
        kinds = [
            mean(group, [scores["overall"] for _, scores in pairs])
            for group, pairs in groups(scored).items()
        ]
        values = [figure.value for figure in kinds if figure.value is not None]
        overall = mean("overall", values).value
        parts = [mean(part, [scores[part] for _, scores in scored]) for part in PARTS]
        return [Figure("overall", overall, len(scored)), *parts, *kinds]


def _list_file(data: Path) -> Path:
    for folder in LIST_FOLDERS:
        for name in LISTS:
            if (data / folder / name).is_file():
                return data / folder / name
    raise SuiteError(f"{data} is not the data of ImgEdit-Bench: {EXPECTED}")


def _picture_folders(data: Path, path: Path) -> list[Path]:
    return [path.parent, data, data / "singleturn", data / "Benchmark" / "singleturn"]


def _item(key: str, row: Any, folders: list[Path]) -> Item:
    place = f"item {key}"
    if not isinstance(row, dict):
        raise SuiteError(f"{place} is not a JSON object; {EXPECTED}")
    image = files.picture(folders, files.text_of(row, "id", place), place)
    kind = files.text_of(row, "edit_type", place)
    instruction = files.text_of(row, "prompt", place)
    return Item(files.name_of(key, place), kind, instruction, image, details=row)
