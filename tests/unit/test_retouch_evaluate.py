"""`retouch evaluate` as a whole, with a client that edits in the test and a judge on loopback."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
from html import unescape

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import suite_data
from fake_judge import FakeJudge, Reply, text_of
from retouch.api.errors import RequestError
from retouch.api.response import EditAnswer, EditInfo
from retouch_clients.command import retouch
from retouch_clients.evaluation import run as running
from retouch_clients.evaluation.item import Item

FORMATS = {"png": "PNG", "jpeg": "JPEG"}
MEMBER = re.compile(r'"(\w+)": <(.+?)>')


class Client:
    """Paints a picture by the lane and the seed. `fails` raises for a request, or returns None."""

    def __init__(self, fails=lambda fields: None):
        self.fails = fails
        self.requests = []

    def __call__(self, url, http, **options):  # stands in for the class too
        self.url = url
        return self

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def edit_one(self, image, instruction, **fields):
        request = {"image": image, "instruction": instruction, **fields}
        self.requests.append(request)
        await asyncio.sleep(0)
        if failure := self.fails(request):
            raise failure
        colour = (40 + fields["seed"], 80, 200 if fields["precision"] == "bf16" else 20)
        file = io.BytesIO()
        Image.fromarray(np.full((24, 32, 3), colour, np.uint8)).save(
            file, FORMATS[fields["format"]]
        )
        info = EditInfo("final", fields["seed"], fields["precision"], steps=3)
        return EditAnswer(file.getvalue(), (3, 3), info)


@pytest.fixture()
def client(monkeypatch):
    """The client of the command, which a test may tell to fail."""
    fake = Client()
    monkeypatch.setattr(running, "AsyncRetouch", fake)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return fake


def evaluate(suite, tmp_path, *arguments, lane="bf16", out="out"):
    """The command over the suite's miniature data, which is made if missing."""
    data = tmp_path / "data"
    if not data.exists():
        suite_data.MAKERS[suite](data)
    lanes = ("--lane", lane) if lane else ()
    command = ["evaluate", "--suite", suite, "--data", data, "--out", tmp_path / out]
    return CliRunner().invoke(retouch, [str(part) for part in (*command, *lanes, *arguments)])


def good(body):
    """The highest allowed value of each member that the question asks for."""
    values = {}
    for name, kind in MEMBER.findall(text_of(body)):
        high = re.search(r"to (\d+)$", kind)
        values[name] = int(high[1]) if high else "tie"
    return json.dumps({"reason": "well", **values})


def judged(fake, *arguments):
    return ("--judge", fake.url, "--judge-model", "gauge", *arguments)


def names_below(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


LAYOUTS = {
    "rise": {
        f"outputs/bf16-seed{{}}/images/{row['category']}/{row['index']}.png"
        for row in suite_data.RISE_ROWS
    },
    "gedit": {
        f"results/bf16-seed{{}}/fullset/{task}/{language}/{key}{end}.png"
        for task, language, key, *_ in suite_data.GEDIT_ROWS
        for end in ("", "_SRCIMG")
    },
    "imgedit": {f"results/bf16-seed{{}}/{key}.png" for key in suite_data.IMGEDIT_ROWS},
    "kris": {
        f"results/bf16-seed{{}}/{name}.jpg"
        for name in (
            "object_count/1",
            "biology/7",
            "view_pair/1",
            "multi-element_composition/2",
            "temporal_prediction/51",
        )
    },
}
BESIDE = {"journal.jsonl", "report.html", "evaluation.json"}


@pytest.mark.parametrize("suite", LAYOUTS)
def test_results_lie_where_the_scripts_read(suite, client, tmp_path):
    result = evaluate(suite, tmp_path, "--repeats", 2, "--seed", 5, "--steps", 4)
    assert result.exit_code == 0, result.output
    written = names_below(tmp_path / "out")
    expected = {name.format(seed) for name in LAYOUTS[suite] for seed in (5, 6)}
    others = {name for name in written - expected if not name.startswith("KRIS_Bench/")}
    assert expected <= written
    assert others == BESIDE | ({"data.json"} if suite == "rise" else set())
    for name in expected:
        with Image.open(tmp_path / "out" / name) as image:
            assert image.format == ("JPEG" if suite == "kris" else "PNG")
    assert {request["seed"] for request in client.requests} == {5, 6}
    assert {request["precision"] for request in client.requests} == {"bf16"}
    assert {request["steps"] for request in client.requests} == {4}
    assert {request["on_unknown"] for request in client.requests} == {"try"}
    assert "authors' script" in result.output or suite == "gedit"


def test_references_are_sent(client, tmp_path):
    evaluate("kris", tmp_path, "--repeats", 1)
    assert sorted(len(request["references"]) for request in client.requests) == [0, 0, 0, 1, 2]


@pytest.mark.parametrize("suite", LAYOUTS)
def test_a_suite_is_judged(suite, client, tmp_path):
    with FakeJudge(good) as fake:
        result = evaluate(suite, tmp_path, *judged(fake))
        assert result.exit_code == 0, result.output
        assert {body["model"] for body in fake.requests} == {"gauge"}
    content = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    best = {"rise": 100, "gedit": 10, "imgedit": 5, "kris": 5}[suite]
    for figure in content["figures"]:
        assert figure["mean"] == best and figure["deviation"] == 0 and len(figure["values"]) == 3
    judge = content["judge"]
    assert (judge["model"], judge["served"], judge["repeats"]) == ("gauge", ["served-1"], 3)
    assert len(judge["dates"]) == 1 and judge["answers"]["unreadable"] == 0
    assert "judge gauge (served as served-1), " in result.output and "3 repeats" in result.output


def test_fewer_repeats_than_three_are_told(client, tmp_path):
    with FakeJudge(good) as fake:
        result = evaluate("imgedit", tmp_path, *judged(fake, "--repeats", 2))
    assert "fewer than 3 repeats (2)" in result.output
    assert "fewer than 3 repeats" in (tmp_path / "out" / "report.html").read_text()


def test_repeats_have_a_spread(client, tmp_path):
    def strict(body):
        strict.calls += 1
        return f'{{"followed": {1 + strict.calls % 3}, "made": 3, "kept": 3}}'

    strict.calls = 0
    with FakeJudge(strict) as fake:
        evaluate("imgedit", tmp_path, *judged(fake, "--judge-workers", 1))
    overall = json.loads((tmp_path / "out" / "evaluation.json").read_text())["figures"][0]
    assert overall["name"] == "overall" and overall["deviation"] > 0


# -- the report ------------------------------------------------------------------------------------


def test_the_report_holds_pictures_scores_and_counts(client, tmp_path):
    def babbling(body):
        return "lovely!" if "Add a hat" in text_of(body) else good(body)

    with FakeJudge(babbling) as fake:
        result = evaluate("imgedit", tmp_path, *judged(fake))
    page = (tmp_path / "out" / "report.html").read_text()
    sources = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)"', page)
    assert len(sources) == 3 * (1 + 3)
    for source in sources:
        with Image.open(io.BytesIO(base64.b64decode(source))) as image:
            assert image.format == "JPEG" and max(image.size) <= 224
    text = unescape(page)
    assert "bf16-seed2: followed 5, made 5, kept 5, overall 5" in text
    assert "<td>unreadable</td>" in text and '<td class="n">3</td>' in text
    note = "3 unreadable of 9 answers: their pictures are left out of the figures"
    assert note in text and note in result.output
    assert text.count("gauge (served as served-1)") >= 5, "the judge stands beside each number"
    figures = json.loads((tmp_path / "out" / "evaluation.json").read_text())["figures"]
    assert "add" not in {figure["name"] for figure in figures}
    assert figures[0]["pictures"] == [2, 2, 2]
    assert "http" not in re.sub(r"data:[^\"]+", "", page), "the page loads nothing"


def test_texts_of_data_are_no_markup(client, tmp_path):
    rows = {"1": {"id": "a.jpg", "prompt": "<script>x</script> [red]", "edit_type": "<b>"}}
    suite_data.write_json(tmp_path / "data" / "basic_edit.json", rows)
    suite_data.picture(tmp_path / "data" / "a.jpg")
    with FakeJudge(good) as fake:
        result = evaluate("imgedit", tmp_path, *judged(fake))
    page = (tmp_path / "out" / "report.html").read_text()
    assert result.exit_code == 0 and "<script>" not in page and "&lt;script&gt;" in page


# -- going on --------------------------------------------------------------------------------------


def test_a_second_run_makes_only_what_is_left(client, tmp_path):
    odd = RequestError("IMAGE is odd", "INVALID_ARGUMENT", field="IMAGE")
    client.fails = lambda fields: odd if fields["instruction"] == "Add a hat" else None
    with FakeJudge(good) as fake:
        result = evaluate("imgedit", tmp_path, *judged(fake))
        assert result.exit_code == 1 and "6 done, 3 failed" in result.output
        assert "3 edits failed" in result.output and len(fake.requests) == 6
        client.fails = lambda fields: None
        client.requests.clear()
        result = evaluate("imgedit", tmp_path, *judged(fake))
        assert "3 done, 6 done before, 0 failed" in result.output and result.exit_code == 0
        assert {request["instruction"] for request in client.requests} == {"Add a hat"}
        assert len(fake.requests) == 9
        evaluate("imgedit", tmp_path, *judged(fake))
        assert len(client.requests) == 3 and len(fake.requests) == 9


def test_a_stop_keeps_what_is_done(client, tmp_path):
    def stops(fields):
        if len(client.requests) == 4:
            raise KeyboardInterrupt

    client.fails = stops
    result = evaluate("imgedit", tmp_path, "--workers", 1)
    assert result.exit_code == 130 and "run the same command again to resume" in result.output
    client.fails = lambda fields: None
    client.requests.clear()
    assert "6 done, 3 done before" in evaluate("imgedit", tmp_path, "--workers", 1).output
    assert len(client.requests) == 6


def test_edits_stay_when_only_the_judge_was_missing(client, tmp_path):
    evaluate("rise", tmp_path, "--repeats", 1)
    client.requests.clear()
    with FakeJudge(good) as fake:
        result = evaluate("rise", tmp_path, "--repeats", 1, *judged(fake))
    assert client.requests == [] and "accuracy" in result.output


def test_another_edits_results_are_kept(client, tmp_path):
    evaluate("imgedit", tmp_path, "--repeats", 1)
    result = evaluate("imgedit", tmp_path, "--repeats", 1, "--steps", 9)
    assert result.exit_code == 1 and "add --force" in result.output
    assert evaluate("imgedit", tmp_path, "--repeats", 1, "--steps", 9, "--force").exit_code == 0


# -- pairs -----------------------------------------------------------------------------------------


def preferring(colour):
    """A judge that prefers the result whose picture is `colour`: blue of bf16, or the other."""

    def answer(body):
        urls = [
            part["image_url"]["url"]
            for part in body["messages"][0]["content"]
            if part["type"] == "image_url"
        ]
        blues = []
        for url in urls[-2:]:
            with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
                blues.append(image.convert("RGB").getpixel((2, 2))[2])
        is_first = (blues[0] > blues[1]) == (colour == "blue")
        return json.dumps({"better": "first" if is_first else "second"})

    return answer


def test_lanes_are_compared(client, tmp_path):
    with FakeJudge(preferring("blue")) as fake:
        arguments = ("--pairwise", "bf16", "--pairwise", "fp8", *judged(fake))
        result = evaluate("imgedit", tmp_path, *arguments, lane=None)
        assert result.exit_code == 0, result.output
        assert len(fake.requests) == 3 * 3 * 2
    assert "fp8: 0 won, 0 tied, 9 lost; share of wins 0.0%" in result.output
    content = json.loads((tmp_path / "out" / "pairwise.json").read_text())
    (comparison,) = content["comparisons"]
    assert (comparison["method"], comparison["losses"]) == ("fp8", 9)
    assert comparison["elo"][0] < -100 and len(content["outcomes"]) == 9
    page = unescape((tmp_path / "out" / "pairwise.html").read_text())
    assert page.count("<img") == 3 * (1 + 6) and "bf16 against fp8: bf16" in page
    assert {request["precision"] for request in client.requests} == {"bf16", "fp8"}


def test_folders_are_compared_without_a_server(client, tmp_path):
    for lane in ("bf16", "fp8"):
        evaluate("imgedit", tmp_path, "--repeats", 1, lane=lane, out=lane)
    client.requests.clear()
    with FakeJudge(preferring("other")) as fake:
        sides = ("--pairwise", tmp_path / "bf16", "--pairwise", tmp_path / "fp8")
        result = evaluate("imgedit", tmp_path, *sides, *judged(fake), lane=None)
    assert result.exit_code == 0, result.output
    assert "3 won, 0 tied, 0 lost" in result.output and client.requests == []
    assert "fewer than 3 repeats (1)" in result.output


# -- errors ----------------------------------------------------------------------------------------


def test_another_suites_data_is_told(client, tmp_path):
    suite_data.kris(tmp_path / "data")
    result = evaluate("rise", tmp_path)
    assert result.exit_code == 2 and "is not the data of RISEBench" in result.stderr
    assert "must hold data_total.json" in result.stderr and client.requests == []


def test_another_suites_results_are_told(client, tmp_path):
    evaluate("imgedit", tmp_path, "--repeats", 1)
    suite_data.rise(tmp_path / "rise")
    result = CliRunner().invoke(
        retouch,
        f"evaluate --suite rise --data {tmp_path}/rise --out {tmp_path}/out".split(),
    )
    assert result.exit_code == 2 and "is that of ImgEdit-Bench" in result.stderr


@pytest.mark.parametrize("out", ["data", "."])
def test_the_datas_folder_is_no_place_for_results(out, client, tmp_path):
    result = evaluate("imgedit", tmp_path, out=out)
    assert result.exit_code == 2 and "holds the data" in result.stderr


def test_no_server_is_told(monkeypatch, tmp_path):
    result = evaluate("imgedit", tmp_path, "--url", "127.0.0.1:9", "--timeout", 0.5)
    assert result.exit_code == 4, result.output
    assert "no server answers" in result.stderr or "no result within" in result.stderr


def test_a_server_that_is_gone_ends_the_run(client, tmp_path):
    client.fails = lambda fields: RequestError("no server answers at x", "UNAVAILABLE")
    result = evaluate("imgedit", tmp_path)
    assert result.exit_code == 4 and "Error: no server answers at x" in result.stderr
    assert "again to resume" in result.stderr and len(client.requests) <= 4


def test_a_judge_that_refuses_is_told(client, tmp_path):
    with FakeJudge(lambda body: Reply(401, "bad key")) as fake:
        result = evaluate("imgedit", tmp_path, *judged(fake))
    assert result.exit_code == 4 and "status 401: bad key; check RETOUCH_JUDGE_KEY" in result.stderr
    assert (tmp_path / "out" / "results" / "bf16-seed0" / "1082.png").is_file()


def test_the_judges_key_comes_from_the_environment(client, tmp_path, monkeypatch):
    monkeypatch.setenv("RETOUCH_JUDGE_KEY", "secret")
    with FakeJudge(good) as fake:
        evaluate("imgedit", tmp_path, *judged(fake, "--repeats", 1))
        assert set(fake.keys) == {"Bearer secret"}
    for name in ("report.html", "evaluation.json", "answers.jsonl", "journal.jsonl"):
        assert "secret" not in (tmp_path / "out" / name).read_text()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--judge", "http://x/v1"), "both --judge and --judge-model"),
        (("--judge-model", "x"), "both --judge and --judge-model"),
        (("--pairwise", "bf16", "--pairwise", "fp8"), "--pairwise needs a judge"),
        (
            ("--pairwise", "bf16", "--judge", "http://x/v1", "--judge-model", "x"),
            "two or more sides",
        ),
        (
            (*("--pairwise", "bf16") * 2, "--judge", "http://x/v1", "--judge-model", "x"),
            "sides that differ",
        ),
        (("--judge", "x/v1", "--judge-model", "x"), "it must be http://"),
        (("--repeats", 0), "--repeats"),
    ],
)
def test_options_that_do_not_fit_are_told(arguments, message, client, tmp_path):
    result = evaluate("imgedit", tmp_path, *arguments, lane=None)
    assert result.exit_code == 2 and message in result.stderr and client.requests == []


def test_lane_and_pairs_exclude_each_other(client, tmp_path):
    sides = ("--pairwise", "bf16", "--pairwise", "fp8")
    judge = ("--judge", "http://x/v1", "--judge-model", "x")
    result = evaluate("imgedit", tmp_path, *sides, *judge, lane="bf16")
    assert result.exit_code == 2 and "exclude each other" in result.stderr


def test_values_out_of_range_name_the_option(client, tmp_path):
    result = evaluate("imgedit", tmp_path, "--steps", 99)
    assert result.exit_code == 3 and "--steps is 99" in result.stderr
    result = evaluate("imgedit", tmp_path, lane="fp7")
    assert result.exit_code == 3 and "--lane" in result.stderr and client.requests == []


def test_a_side_that_is_neither_lane_nor_folder_is_told(client, tmp_path):
    sides = ("--pairwise", "bf16", "--pairwise", "out/missing")
    judge = ("--judge", "http://x/v1", "--judge-model", "x")
    result = evaluate("imgedit", tmp_path, *sides, *judge, lane=None)
    assert result.exit_code == 3 and "--pairwise" in result.stderr
    assert "or the folder of a method's results" in result.stderr and client.requests == []


def test_a_limit_takes_items_evenly():
    items = [Item(str(number), "", "", None) for number in range(10)]
    assert [item.name for item in running.evenly(items, 4)] == ["0", "2", "5", "7"]
    assert running.evenly(items, 40) == running.evenly(items, None) == items


def test_a_limit_is_told(client, tmp_path):
    evaluate("imgedit", tmp_path, "--repeats", 1, "--limit", 2)
    content = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert content["items"] == "2 of 3" and len(client.requests) == 2
