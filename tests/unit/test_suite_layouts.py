"""The suites of `retouch evaluate`: what their readers take, and the files of the authors' scripts,
field by field."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pandas
import pytest
from PIL import Image

import suite_data
from retouch_clients.evaluation.suites import SUITES, SuiteError


def prepared(name, tmp_path, methods=("bf16-seed0",)):
    """The suite, its data, the output folder and the items; the scripts' files are written."""
    data = suite_data.MAKERS[name](tmp_path / "data")
    suite, out = SUITES[name], tmp_path / "out"
    items = suite.read(data, out)
    suite.prepare(data, out, methods, items)
    return suite, data, out, items


def labels(question):
    return [picture.path.name for picture in question.pictures]


# -- RISEBench -------------------------------------------------------------------------------------


def test_rise_reads_its_items(tmp_path):
    _, data, _, items = prepared("rise", tmp_path)
    assert [(item.name, item.group, item.instruction) for item in items] == [
        (row["index"], row["category"], row["instruction"]) for row in suite_data.RISE_ROWS
    ]
    assert [item.image for item in items] == [data / row["image"] for row in suite_data.RISE_ROWS]
    assert not any(item.references for item in items), "an answer's picture is no input of an edit"


def test_rise_fills_the_columns_that_the_script_reads(tmp_path):
    """The repository's own list has no reasoning_img and no subtask, at which the script stops."""
    _, _, out, _ = prepared("rise", tmp_path)
    rows = json.loads((out / "data.json").read_text())
    assert [row["index"] for row in rows] == [row["index"] for row in suite_data.RISE_ROWS]
    for row, source in zip(rows, suite_data.RISE_ROWS):
        assert row.items() >= source.items()
        assert row.keys() - source.keys() <= {"reasoning_img", "subtask", "consistency_free"}
        assert row["reasoning_img"] is None and row["subtask"] is None
    assert not any("reasoning_wo_ins" in row for row in rows), "the script asks by its presence"


def test_rise_cells_mean_the_same_in_pandas(tmp_path):
    """The script asks of a cell both whether it is missing and whether it is true."""
    _, _, out, _ = prepared("rise", tmp_path)
    table = pandas.DataFrame(json.loads((out / "data.json").read_text()))
    for number, source in enumerate(suite_data.RISE_ROWS):
        row = table.iloc[number]
        assert pandas.isna(row["reasoning_img"]) and pandas.isna(row["subtask"])
        is_free = "consistency_free" in source
        assert bool(row["consistency_free"]) == is_free
        assert pandas.isna(row["consistency_free"]) == (not is_free)


def test_rise_keeps_a_full_lists_columns(tmp_path):
    data = suite_data.rise(tmp_path / "data")
    rows = [row | {"subtask": "Life Progression"} for row in suite_data.RISE_ROWS[:1]]
    suite_data.write_json(data / "datav2_total_w_subtask.json", rows)
    items = SUITES["rise"].read(data, tmp_path / "out")
    SUITES["rise"].prepare(data, tmp_path / "out", [], items)
    (row,) = json.loads((tmp_path / "out" / "data.json").read_text())
    assert row["subtask"] == "Life Progression" and "consistency_free" not in row


def test_rise_results_and_command(tmp_path):
    suite, data, out, items = prepared("rise", tmp_path)
    assert suite.result_path(out, "m", items[0]) == (
        out / "outputs/m/images/temporal_reasoning/temporal_reasoning_1.png"
    )
    assert suite.script(data, out, "m") == (
        f"python gpt_eval.py --data {out}/data.json --input {data} --output {out}/outputs/m"
    )


def test_rise_asks_what_each_category_needs(tmp_path):
    suite, _, _, items = prepared("rise", tmp_path)
    asked = [suite.questions(item, Path("result.png")) for item in items]
    assert [[question.name for question in questions] for questions in asked] == [
        ["consistency", "reasoning", "plausibility"],
        ["reasoning", "plausibility"],
        ["consistency", "reasoning", "plausibility"],
        ["consistency", "reasoning"],
        ["consistency", "reasoning"],
    ]
    assert [labels(question) for question in asked[0]] == [
        ["1.png", "result.png"],
        ["result.png"],
        ["result.png"],
    ]
    assert "The apple has rotted." in asked[0][1].text
    assert "after rain {0}" in asked[1][0].text
    # a reference picture stands in for the source
    assert [labels(question) for question in asked[2]] == [
        ["1_ref.png", "result.png"],
        ["1_ref.png", "result.png"],
        ["result.png"],
    ]
    assert labels(asked[3][0]) == ["1.png", "result.png"] and labels(asked[3][1]) == ["result.png"]
    assert "A triangle." in asked[3][1].text
    assert labels(asked[4][0]) == labels(asked[4][1]) == ["2_ref.png", "result.png"]
    assert asked[3][0].members["consistency"].parse(2) is None


def test_rise_shows_the_source_where_an_item_asks_for_it(tmp_path):
    data = suite_data.rise(tmp_path / "data")
    rows = [row | {"reasoning_img": 1} for row in suite_data.RISE_ROWS[:1]]
    suite_data.write_json(data / "data_total.json", rows)
    (item,) = SUITES["rise"].read(data, tmp_path)
    reasoning = SUITES["rise"].questions(item, Path("result.png"))[1]
    assert labels(reasoning) == ["1.png", "result.png"]


# -- GEdit-Bench -----------------------------------------------------------------------------------


def test_gedit_reads_its_rows(tmp_path):
    _, data, _, items = prepared("gedit", tmp_path)
    assert [item.name for item in items] == [
        "color_alter/en/k1",
        "color_alter/cn/k1",
        "text_change/en/k2",
    ]
    assert items[1].instruction == "变红" and items[1].group == "color_alter"
    assert items[0].image == data / "images/color_alter-en-k1-raw.png", "the raw picture is edited"


def test_gedit_lays_the_source_beside_each_result(tmp_path):
    suite, _, out, items = prepared("gedit", tmp_path, methods=("a", "b"))
    for method in ("a", "b"):
        for task, language, key, *_ in suite_data.GEDIT_ROWS:
            source = out / f"results/{method}/fullset/{task}/{language}/{key}_SRCIMG.png"
            with Image.open(source) as image:
                assert (image.format, image.size) == ("PNG", (32, 24)), "input_image, as PNG"
    assert suite.result_path(out, "a", items[2]) == out / "results/a/fullset/text_change/en/k2.png"


def test_gedit_judges_at_the_sources_size(tmp_path):
    suite, data, _, items = prepared("gedit", tmp_path)
    edit, look = suite.questions(items[0], Path("result.png"))
    shown = data / "images/color_alter-en-k1.jpg"
    assert [picture.path for picture in edit.pictures] == [shown, Path("result.png")]
    assert edit.pictures[1].like == look.pictures[0].like == shown
    assert set(edit.members) == {"success", "restraint"}
    assert set(look.members) == {"natural", "clean"}


class FakeParquet:
    """Stands in for pyarrow.parquet.ParquetFile over rows that a test sets."""

    rows: list = []

    def __init__(self, path):
        self.schema_arrow = SimpleNamespace(names=list(self.rows[0]))

    def iter_batches(self, batch_size, columns):
        for start in range(0, len(self.rows), batch_size):
            batch = [
                {name: row[name] for name in columns}
                for row in self.rows[start : start + batch_size]
            ]
            yield SimpleNamespace(to_pylist=lambda batch=batch: batch)


@pytest.fixture()
def parquet(tmp_path, monkeypatch):
    """The data set as its hub has it: one file of the split train."""
    folder = suite_data.gedit(tmp_path / "pictures")
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    for row in rows:
        for column in ("input_image", "input_image_raw"):
            row[column] = {"bytes": (folder / row[column]).read_bytes(), "path": None}
    (tmp_path / "hub" / "data").mkdir(parents=True)
    (tmp_path / "hub" / "data" / "train-00000-of-00001.parquet").write_bytes(b"PAR1")
    package, module = ModuleType("pyarrow"), ModuleType("pyarrow.parquet")
    package.ArrowInvalid = ValueError
    module.ParquetFile = type("ParquetFile", (FakeParquet,), {"rows": rows})
    monkeypatch.setitem(sys.modules, "pyarrow", package)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", module)
    return tmp_path / "hub"


def test_gedit_unpacks_parquet(parquet, tmp_path):
    items = SUITES["gedit"].read(parquet, tmp_path / "out")
    assert [item.name for item in items] == [
        f"{task}/{language}/{key}" for task, language, key, *_ in suite_data.GEDIT_ROWS
    ]
    with Image.open(items[0].image) as raw, Image.open(items[0].details["shown"]) as shown:
        assert raw.size == (64, 48) and shown.size == (32, 24)
    shutil.rmtree(parquet / "data")
    (parquet / "train.parquet").write_bytes(b"PAR1")
    assert len(SUITES["gedit"].read(parquet, tmp_path / "out")) == 3


def test_gedit_names_the_package_that_reads_parquet(parquet, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SuiteError, match="pip install pyarrow"):
        SUITES["gedit"].read(parquet, tmp_path / "out")


# -- ImgEdit-Bench ---------------------------------------------------------------------------------


def test_imgedit_reads_and_names(tmp_path):
    suite, data, out, items = prepared("imgedit", tmp_path)
    assert {item.name: (item.group, item.instruction) for item in items} == {
        key: (row["edit_type"], row["prompt"]) for key, row in suite_data.IMGEDIT_ROWS.items()
    }
    assert items[0].image == data / "singleturn/animal/000003.jpg"
    assert suite.result_path(out, "m", items[0]) == out / "results/m/1082.png"
    assert suite.script(data, out, "m") == (
        f"python basic_bench.py --result_img_folder {out}/results/m "
        f"--edit_json {data}/basic_edit.json --origin_img_root {data}/singleturn "
        "--prompts_json prompts.json"
    )
    (question,) = suite.questions(items[1], Path("result.png"))
    assert labels(question) == ["000004.jpg", "result.png"] and len(question.members) == 3
    assert "Remove the cat" in question.text and "traces" in question.text


# -- KRIS-Bench ------------------------------------------------------------------------------------


def test_kris_reads_by_the_scripts_names(tmp_path):
    _, data, _, items = prepared("kris", tmp_path)
    by_name = {item.name: item for item in items}
    assert set(by_name) == {
        "object_count/1",
        "biology/7",
        "view_pair/1",
        "multi-element_composition/2",
        "temporal_prediction/51",
    }
    composed = by_name["multi-element_composition/2"]
    folder = data / "multi-element_composition"
    assert (composed.image, composed.references) == (folder / "2-1.jpg", (folder / "2-2.jpg",))
    assert len(by_name["temporal_prediction/51"].references) == 2


def test_kris_copies_the_data_under_the_scripts_names(tmp_path):
    _, _, out, _ = prepared("kris", tmp_path)
    bench = out / "KRIS_Bench"
    assert sorted(path.name for path in bench.iterdir()) == [
        "biology",
        "multi-element_composition",
        "object_count",
        "temporal_prediction",
        "view_pair",
    ]
    for category in bench.iterdir():
        rows = json.loads((category / "annotation.json").read_text())
        for row in rows.values():
            assert row["instruction"] == row["ins_en"] and row["explain"] == row["explain_en"]
            names = row["ori_img"] if isinstance(row["ori_img"], list) else [row["ori_img"]]
            assert all((category / name).is_file() for name in names)
            assert "folder" not in row
    assert (bench / "view_pair" / "1_gt.jpg").is_file()


def test_kris_results_are_jpeg(tmp_path):
    suite, data, out, items = prepared("kris", tmp_path)
    by_name = {item.name: item for item in items}
    assert suite.result_path(out, "m", by_name["biology/7"]) == out / "results/m/biology/7.jpg"
    command = suite.script(data, out, "m")
    assert command.count("--models m") == 5 and "metrics_knowledge.py" in command


def test_kris_asks_by_kind(tmp_path):
    suite, _, _, items = prepared("kris", tmp_path)
    asked = {
        item.name: {q.name: q for q in suite.questions(item, Path("result.jpg"))} for item in items
    }
    assert list(asked["object_count/1"]) == ["consistency", "instruction", "quality"]
    assert list(asked["biology/7"]) == ["consistency", "knowledge", "quality"]
    assert set(asked["biology/7"]["knowledge"].members) == {"instruction", "knowledge"}
    assert "butterfly" in asked["biology/7"]["knowledge"].text
    assert labels(asked["view_pair/1"]["instruction"]) == ["1_gt.jpg", "1.jpg", "result.jpg"]
    frames = asked["temporal_prediction/51"]["consistency"].pictures
    assert [picture.label for picture in frames] == [
        "Frame 2:",
        "Frame 3:",
        "Frame 4:",
        "The result:",
    ]
    assert labels(asked["multi-element_composition/2"]["quality"]) == ["result.jpg"]


# -- data that is not the suite's ------------------------------------------------------------------


@pytest.mark.parametrize("name", SUITES)
def test_another_folder_is_told_what_was_expected(name, tmp_path):
    (tmp_path / "notes.txt").write_text("no data")
    with pytest.raises(SuiteError, match=f"not the data of {SUITES[name].title[:4]}.*must hold"):
        SUITES[name].read(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("name", SUITES)
def test_a_missing_picture_is_named(name, tmp_path):
    data = suite_data.MAKERS[name](tmp_path / "data")
    missing = next(path for path in sorted(data.rglob("*.[jp][pn]g")) if "gt" not in path.name)
    missing.unlink()
    with pytest.raises(SuiteError, match=f"no picture .*{missing.name}"):
        SUITES[name].read(data, tmp_path / "out")


@pytest.mark.parametrize("name", SUITES)
def test_damaged_lists_are_told(name, tmp_path):
    data = suite_data.MAKERS[name](tmp_path / "data")
    for path in [*data.rglob("*.json"), *data.rglob("*.jsonl")]:
        path.write_text("{")
    with pytest.raises(SuiteError, match="JSON"):
        SUITES[name].read(data, tmp_path / "out")


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd"])
def test_names_that_lead_elsewhere_are_refused(name, tmp_path):
    data = suite_data.rise(tmp_path / "data")
    row = suite_data.RISE_ROWS[0]
    suite_data.write_json(data / "data_total.json", [row | {"image": name}])
    with pytest.raises(SuiteError, match="leads out"):
        SUITES["rise"].read(data, tmp_path)
    suite_data.write_json(data / "data_total.json", [row | {"index": name}])
    with pytest.raises(SuiteError, match="cannot name a file"):
        SUITES["rise"].read(data, tmp_path)
