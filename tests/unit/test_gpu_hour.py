"""The run of `make gpu`: what fails, is late or cannot run does not end it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from benchmarks.gpu_hour.readme import TABLES, fill
from benchmarks.gpu_hour.runner import ROOT, run
from benchmarks.gpu_hour.section import CUT_OFF, DONE, FAILED, SKIPPED, Section
from benchmarks.gpu_hour.sections import SECTIONS

WRITE = "import json, sys; json.dump({'seconds': 2}, open(sys.argv[1], 'w'))"


def code(name, text, seconds=60, **more):
    return Section(name, ("-c", text, "{json}"), seconds, least=1, **more)


def test_a_section_that_fails_does_not_end_the_run():
    failing = code("failing", f"{WRITE}; print('no memory'); sys.exit(3)")
    first, second = run([failing, code("writing", WRITE)], 60, False)
    assert (first.state, first.reason) == (FAILED, "exit code 3: no memory")
    assert first.figures == {"seconds": 2}  # what it had written before
    assert (second.state, second.figures) == (DONE, {"seconds": 2})


def test_a_late_section_is_ended_and_keeps_what_it_wrote():
    late = code("late", f"{WRITE}; import time; time.sleep(60)", seconds=2)
    first, second = run([late, code("writing", WRITE)], 60, False)
    assert first.state == CUT_OFF and "after 2 s" in first.reason and first.seconds < 30
    assert first.figures == {"seconds": 2}
    assert second.state == DONE


@pytest.mark.parametrize(
    ("section", "budget", "reason"),
    [
        (code("a", WRITE, needs=("no_such_package",)), 60, "no_such_package is not installed here"),
        (
            code("a", WRITE, needs=("no_such_package", "nor_this_one")),
            60,
            "no_such_package and nor_this_one are not installed here",
        ),
        (code("b", WRITE, obstacle=lambda: "no server"), 60, "no server"),
        (code("c", WRITE), 0.0, "0 s of the budget are left, and it needs 1 s"),
    ],
)
def test_what_cannot_run_says_why(section, budget, reason):
    (outcome,) = run([section], budget, False)
    assert (outcome.state, outcome.reason) == (SKIPPED, reason)


def test_a_section_finds_the_exporter_without_an_installation():
    finding = "from importlib.util import find_spec; print(find_spec('retouch_export').origin)"
    (outcome,) = run([Section("x", ("-S", "-c", finding), 60, least=1)], 60, False)
    assert outcome.state == DONE, outcome.reason


def test_a_whole_edit_needs_any_tritonserver(monkeypatch, tmp_path):
    """The one of NVIDIA's container serves as well as the wheel's."""
    edit = replace(next(section for section in SECTIONS if section.name == "edit"), needs=())
    monkeypatch.setenv("RETOUCH_TRITON", str(tmp_path))
    assert "has no bin/tritonserver" in edit.reason_to_skip()
    for name in ("bin/tritonserver", "backends/python/triton_python_backend_stub"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"")
    assert edit.reason_to_skip() == ""


def test_a_machine_without_a_gpu_takes_the_tiny_arguments():
    section = Section("x", ("-m", "a", "--json", "{json}"), 1, tiny=("--tiny",))
    assert section.command("out.json", True) == ["-m", "a", "--json", "out.json", "--tiny"]
    assert section.command("out.json", False) == ["-m", "a", "--json", "out.json"]


FIGURES = {
    "machine": {"gpu": "NVIDIA X"},
    "sections": {
        "klein": {
            "figures": {
                "findings": {
                    "512": {"region": 1.5, "batch_that_pays": {"51": 8, "154": 8, "1024": 2}},
                    "1024": {"region": 2.25, "batch_that_pays": {"205": 8, "614": 4, "4096": 1}},
                }
            }
        },
        "edit": {"figures": {"milliseconds": {"denoiser": 90.0, "total": 100.0}}},
        "parts": {"figures": {}},
    },
}


def test_the_readme_gets_the_rows_of_what_was_measured(tmp_path):
    document = tmp_path / "README.md"
    document.write_text((ROOT / "benchmarks" / "README.md").read_text())
    before = document.read_text().splitlines()
    assert fill(document, FIGURES) == ["klein", "edit"]
    after = document.read_text().splitlines()
    assert [line for line in after if line not in before] == [
        "| NVIDIA X | denoiser | 90.0 | 90% |",
        "| NVIDIA X | total | 100.0 | 100% |",
        "| NVIDIA X | 512 | 1.50 | 2 | 8 |",
        "| NVIDIA X | 1024 | 2.25 | 1 | 4 |",
    ]
    fill(document, FIGURES)  # a second run replaces the first one's rows
    assert document.read_text().splitlines() == after


def test_a_document_without_the_table_is_refused(tmp_path):
    document = tmp_path / "README.md"
    document.write_text("# nothing\n")
    with pytest.raises(ValueError, match="0 tables `gpu: klein`; it must have one"):
        fill(document, FIGURES)


def test_every_table_of_the_readme_is_known():
    text = (ROOT / "benchmarks" / "README.md").read_text()
    assert {*re.findall(r"<!-- gpu: (\w+) -->", text)} == {*TABLES} <= {s.name for s in SECTIONS}
