"""Where the figures of a benchmark go."""

from __future__ import annotations

import json
import re

import pytest

from benchmarks import table
from benchmarks.results import save_json
from retouch.launcher.server import ROOT

WITH_JSON = [
    path for path in sorted((ROOT / "benchmarks").glob("*.py")) if '"--json"' in path.read_text()
]


def test_the_folder_is_made_when_it_is_missing(tmp_path):
    save_json(tmp_path / "out" / "deep" / "figures.json", {"ratio": 1.5})
    assert json.loads((tmp_path / "out" / "deep" / "figures.json").read_text()) == {"ratio": 1.5}


def test_nothing_is_written_without_a_path():
    save_json(None, {"ratio": 1.5})


@pytest.mark.parametrize("path", WITH_JSON, ids=lambda path: path.stem)
def test_every_benchmark_writes_so(path):
    assert not re.search(r"\b(json|path)\.write_text", path.read_text())


def test_a_table_in_a_missing_folder(tmp_path):
    row = table.Row("steps", "none", 1.0, 2.0, "ms", table.FASTER, 1.5, "same")
    table.save([row], tmp_path / "out" / "rows.json")
    (saved,) = json.loads((tmp_path / "out" / "rows.json").read_text())["rows"]
    assert saved["ratio"] == 2.0 and saved["met"]
