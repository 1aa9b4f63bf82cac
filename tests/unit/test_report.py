"""The report's pages from recorded figures: all that was measured is there, and what was not is
told."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from PIL import Image

from benchmarks.report import figures, html, markdown, plots
from benchmarks.report.__main__ import main
from benchmarks.report.document import Code, Gallery, Plot, Table
from benchmarks.report.figures import Spread
from benchmarks.report.report_text import repeats, story
from benchmarks.report.run import Run
from retouch.launcher.server import ROOT

RECORDED = ROOT / "tests" / "recorded" / "figures.json"
SECTIONS = [
    "Closed loop",
    "Open loop",
    "Streaming",
    "Stages",
    "Doors",
    "Overhead",
    "Lanes and quality",
    "Cold start",
    "Memory",
    "How it was measured",
]
VOID = {"meta", "br", "hr", "img", "link", "input"}


@pytest.fixture()
def results():
    return figures.load(RECORDED)


class Page(HTMLParser):
    """Every element closed in its order; ids, links and words."""

    def __init__(self, text):
        super().__init__()
        self.open = []
        self.ids = []
        self.links = []
        self.texts = []
        self.tags = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        attrs = dict(attrs)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [
            value
            for name, value in attrs.items()
            if name in ("href", "src", "xlink:href", "action")
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture()
def page(results, tmp_path):
    return Page(html.write(story(results), tmp_path).read_text())


def test_figures_survive_a_file(results, tmp_path):
    figures.save(results, tmp_path / "again.json")
    assert figures.load(tmp_path / "again.json") == results
    names = json.loads(RECORDED.read_text())
    assert {
        "machine",
        "slo_ms",
        "closed",
        "open",
        "streaming",
        "openai",
        "lanes",
        "stages",
        "cold_start",
        "footprint",
        "overhead",
        "quality",
        "missing",
        "commands",
        "tools",
        "effort",
    } <= set(names)
    assert set(names["closed"][0]["p50"]) == {"median", "least", "most", "runs"}


def test_the_page_has_every_section(page):
    assert page.ids == [re.sub(r"\W+", "-", title.lower()) for title in SECTIONS]
    assert [link for link in page.links if link.startswith("#")] == [
        f"#{anchor}" for anchor in page.ids
    ]


def test_the_page_needs_nothing_else(results, tmp_path, page):
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    assert not {"script", "link", "iframe"} & set(page.tags)
    text = (
        html.write(story(results), tmp_path)
        .read_text()
        .replace('xmlns="http://www.w3.org/2000/svg"', "")
    )
    text = re.sub("<pre>.*?</pre>", "", text, flags=re.S)  # commands name addresses
    assert not re.search(r"https?://|@import|url\(", text)


def test_figures_are_on_the_page(results, page):
    text = " ".join(page.texts)
    for level in (*results.closed, *results.open, *results.streaming):
        assert f"{level.p50.median:.0f}" in text or f"{level.p50.median:.1f}" in text
    assert results.machine.cpu in text and results.machine.commit in text
    assert all(f"{lane.success:.1%}" in text for lane in results.quality)


def test_quoted_figures_have_three_runs(results):
    levels = (*results.closed, *results.open, *results.streaming, *results.lanes, *results.openai)
    assert levels and all(len(level.p50.runs) >= 3 for level in levels)


def test_markdown_has_the_same_tables_and_its_plots(results, tmp_path):
    document = story(results)
    text = markdown.write(document, tmp_path).read_text()
    assert re.findall(r"^## (.*)$", text, re.M) == SECTIONS
    blocks = [block for section in document.sections for block in section.blocks]
    tables = [len(block.rows) for block in blocks if isinstance(block, (Table, Gallery))]
    rows = sum(tables) + 2 * len(tables) + len(document.tiles) + 2
    assert len([line for line in text.splitlines() if line.startswith("|")]) == rows
    linked = re.findall(r"!\[[^\]]+\]\((plots/[^)]+\.svg)\)", text)
    assert len(linked) == sum(isinstance(block, Plot) for block in blocks) >= 6
    assert all(ElementTree.parse(tmp_path / path).getroot().tag.endswith("svg") for path in linked)


def test_commands_have_no_paths_of_a_machine(results):
    (code,) = [
        block
        for section in story(results).sections
        for block in section.blocks
        if isinstance(block, Code)
    ]
    assert any("--concurrency-range" in line for line in code.lines) and any(
        "poisson" in line for line in code.lines
    )
    assert not any(word.startswith("/") for line in code.lines for word in line.split())


def test_lanes_are_shown_side_by_side(results, tmp_path, page):
    shown = len(results.samples) * (1 + len(results.quality))
    assert page.tags.count("img") == shown > 0
    text = markdown.write(story(results), tmp_path).read_text()
    linked = re.findall(r"\((plots/[^)]+\.png)\)", text)
    assert len(set(linked)) == shown
    for path in linked:
        with Image.open(tmp_path / path) as picture:
            assert min(picture.size) >= 96


def test_what_is_missing_is_told_and_the_rest_stays(results, tmp_path):
    bare = replace(
        results,
        closed=[],
        open=[],
        streaming=[],
        stages=[],
        lanes=[],
        openai=[],
        overhead=None,
        missing=[
            figures.Missing(
                "perf_analyzer", "perf_analyzer's wheel is for Linux on x86-64", SECTIONS[:5]
            )
        ],
    )
    page = Page(html.write(story(bare), tmp_path).read_text())
    text = " ".join(page.texts)
    assert (
        text.count("Perf_analyzer's wheel is for Linux on x86-64.") == 5 and "Not measured." in text
    )
    assert len(page.ids) == len(SECTIONS) and f"{results.cold_start.ready.median:.1f}" in text


def test_words_are_not_markup(results, tmp_path):
    odd = replace(
        results, missing=[figures.Missing("a <b>", "1 < 2 & <script>alert(1)</script>", ["Memory"])]
    )
    page = Page(html.write(story(odd), tmp_path).read_text())
    assert "script" not in page.tags and "<script>alert(1)</script>" in " ".join(page.texts)


def test_pages_are_written_again_from_figures(tmp_path, capsys):
    main(["--from", str(RECORDED), "--out", str(tmp_path), "--json", str(tmp_path / "more.json")])
    assert {path.name for path in tmp_path.iterdir()} == {
        "figures.json",
        "more.json",
        "report.md",
        "report.html",
        "plots",
    }
    assert figures.load(tmp_path / "more.json") == figures.load(RECORDED)
    assert "report.html" in capsys.readouterr().out


def test_an_slo_of_nothing_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["--slo-ms", "0"])
    assert "--slo-ms is 0; it must be above 0" in capsys.readouterr().err


def test_how_often_a_load_ran_is_told(results, page):
    assert repeats(results.effort.repetitions) in " ".join(page.texts)
    assert repeats(1) == "Every load ran once." and "ran 3 times" in repeats(3)


def test_a_spread():
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0, [3.0, 1.0, 2.0])


@pytest.mark.parametrize("top", [0.3, 7, 49.9, 50, 51, 640, 12345])
def test_ticks_are_round_few_and_reach_the_top(top):
    steps = plots.ticks(top)
    assert steps[0] == 0 and 4 <= len(steps) <= 8
    assert top * 0.998 <= steps[-1] <= top * 1.6


def test_a_level_without_a_figure_in_one_run_has_none():
    level = figures.Level.of(
        [run(queue=1.0), run(queue=None)],
        door="d",
        tool="t",
        clients=1,
        asked=None,
        count=1,
        lane="bf16",
        previews=0,
    )
    assert level.queue is None and level.p50.median == 1.0


def run(**fields):
    return Run(
        **{
            "p50": 1.0,
            "p90": 1.0,
            "p99": 1.0,
            "rate": 1.0,
            "good": 1.0,
            "goodput": 1.0,
            "refused": 0.0,
            **fields,
        }
    )
