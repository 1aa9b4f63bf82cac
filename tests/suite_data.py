"""Miniature data sets of the suites of `retouch evaluate`, in their documented form."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from pictures import file_of


def picture(path: Path, colour: tuple[int, int, int] = (200, 40, 40), size=(24, 32)) -> Path:
    """A plain picture of this [height, width]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((*size, 3), colour, np.uint8)
    path.write_bytes(file_of(pixels, "JPEG" if path.suffix == ".jpg" else "PNG"))
    return path


def write_json(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False))
    return path


RISE_ROWS = [
    {
        "index": "temporal_reasoning_1",
        "category": "temporal_reasoning",
        "instruction": "Show it a week later",
        "image": "temporal_reasoning_images/1.png",
        "reference": "The apple has rotted.",
    },
    {
        "index": "causal_reasoning_1",
        "category": "causal_reasoning",
        "instruction": "Show it after rain {0}",
        "image": "causal_reasoning_images/1.jpg",
        "reference": "The ground is wet.",
        "consistency_free": 1,
    },
    {
        "index": "spatial_reasoning_1",
        "category": "spatial_reasoning",
        "instruction": "Put the parts together",
        "image": "spatial_reasoning_images/1.png",
        "reference_img": "spatial_reasoning_images/1_ref.png",
    },
    {
        "index": "logical_reasoning_1",
        "category": "logical_reasoning",
        "instruction": "Complete the pattern",
        "image": "logical_reasoning_images/1.png",
        "reference_txt": "A triangle.",
    },
    {
        "index": "logical_reasoning_2",
        "category": "logical_reasoning",
        "instruction": "Solve the maze",
        "image": "logical_reasoning_images/2.png",
        "reference_img": "logical_reasoning_images/2_ref.png",
    },
]


def rise(folder: Path) -> Path:
    """Five items as in the repository's `data`, without the columns reasoning_img and subtask."""
    write_json(folder / "data_total.json", RISE_ROWS)
    for row in RISE_ROWS:
        for column in ("image", "reference_img"):
            if column in row:
                picture(folder / row[column])
    return folder


GEDIT_ROWS = [
    ("color_alter", "en", "k1", "make it red", True),
    ("color_alter", "cn", "k1", "变红", True),
    ("text_change", "en", "k2", "write NO", False),
]


def gedit(folder: Path) -> Path:
    """Three rows with a smaller and a raw picture each."""
    lines = []
    for task, language, key, instruction, common in GEDIT_ROWS:
        stem = f"images/{task}-{language}-{key}"
        picture(folder / f"{stem}.jpg")
        picture(folder / f"{stem}-raw.png", size=(48, 64))
        row = {
            "task_type": task,
            "key": key,
            "instruction": instruction,
            "instruction_language": language,
            "input_image": f"{stem}.jpg",
            "input_image_raw": f"{stem}-raw.png",
            "Intersection_exist": common,
        }
        lines.append(json.dumps(row, ensure_ascii=False))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    return folder


IMGEDIT_ROWS = {
    "1082": {"id": "animal/000003.jpg", "prompt": "Add a hat", "edit_type": "add"},
    "1068": {"id": "animal/000004.jpg", "prompt": "Remove the cat", "edit_type": "remove"},
    "673": {"id": "street/000005.jpg", "prompt": "Remove the car", "edit_type": "remove"},
}


def imgedit(folder: Path) -> Path:
    """Three items, pictures in `singleturn` as Benchmark.tar has them."""
    write_json(folder / "basic_edit.json", IMGEDIT_ROWS)
    for row in IMGEDIT_ROWS.values():
        picture(folder / "singleturn" / row["id"])
    return folder


def kris_row(names: str | list[str], instruction: str, explanation="", truth="") -> dict:
    return {
        "ori_img": names,
        "gt_img": truth,
        "ins_en": instruction,
        "explain_en": explanation,
    }


KRIS_ROWS = {
    "count_change": {"1": kris_row("1.jpg", "Show three apples")},
    "biology": {"7": kris_row("7.png", "Show the larva later", "It becomes a butterfly.")},
    "viewpoint_change": {"1": kris_row("1.jpg", "Draw the top view", truth="1_gt.jpg")},
    "multi-element_composition": {"2": kris_row(["2-1.jpg", "2-2.jpg"], "Put the cup there")},
    "temporal_prediction": {
        "51": kris_row(["51-2.png", "51-3.png", "51-4.png"], "Predict frame 1", truth="51-1.png")
    },
}


def kris(folder: Path) -> Path:
    """A category of each kind, by the data set's names and columns."""
    for category, rows in KRIS_ROWS.items():
        write_json(folder / category / "annotation.json", rows)
        for row in rows.values():
            names = row["ori_img"] if isinstance(row["ori_img"], list) else [row["ori_img"]]
            for name in filter(None, [*names, row["gt_img"]]):
                picture(folder / category / name)
    return folder


MAKERS = {"rise": rise, "gedit": gedit, "imgedit": imgedit, "kris": kris}
