"""The evaluation as a command: its options, files and messages, with lanes that run no graph."""

from __future__ import annotations

import json
from functools import partial
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from PIL import Image

from photo_answers import FakeLane, untouched
from training import evaluate, photos, worlds
from training.options import parse
from training.photo import held_out
from training_pictures import use_samples

DESCRIPTION = "a test"


class FakeParser:
    """Refuses every sentence."""

    def __init__(self, folder):
        pass

    def run(self, pixels, sentences):
        assessment = SimpleNamespace(understood=False, confidence=0.1)
        return [SimpleNamespace(operations=[], assessment=assessment)]


@pytest.fixture()
def repository(tmp_path, monkeypatch):
    """One with the lanes bf16 and fp8, of which fp8 does nothing, and a parser that refuses all."""
    use_samples(monkeypatch)
    monkeypatch.setattr(held_out, "LARGE", (192, 256))
    monkeypatch.setattr(held_out, "LEAST_ORIGINAL", 192)
    monkeypatch.setattr(evaluate, "exported", lambda repository: ["bf16", "fp8"])
    monkeypatch.setattr(evaluate, "evaluate_shapes", lambda options, lanes: {"scenes": 1})
    monkeypatch.setattr(evaluate, "Lane", fake_lane)
    monkeypatch.setattr(evaluate, "Parser", FakeParser)
    monkeypatch.setattr(evaluate, "knows_unknown", lambda repository: True)
    return tmp_path


def fake_lane(repository, name):
    return FakeLane(
        name, partial(exact, list(held_out.held_out(2))) if name == "bf16" else untouched
    )


def exact(edits, request):
    """The exact result of an edit; the source of one at another size."""
    target = edits[request.seed].example.target if request.seed < len(edits) else None
    source = untouched(request)
    return source if target is None or target.shape != source.shape else target


def run(repository, *arguments):
    evaluate.main(["--repository", str(repository), *arguments])


def test_both_worlds_in_one_report(repository, capsys):
    names = ("eval.json", "held-out.jpg", "reliability.svg")
    report, sheet, plot = (repository / "out" / name for name in names)
    counts = ("--photos", "2", "--large", "1", "--sentences", "6")
    files = ("--json", str(report), "--sheet", str(sheet), "--reliability", str(plot))
    run(repository, *counts, *files)
    output = capsys.readouterr().out
    figures = json.loads(report.read_text())
    assert list(figures) == ["scenes", "photos", "photos_12mp", "understanding"]
    for lane, success, lost in (("bf16", 1, 0), ("fp8", 0, 100)):
        row = figures["photos"][lane]["all"]
        assert (row["edits"], row["success"], row["loss_points"]) == (2, success, lost)
    assert list(figures["photos_12mp"]["fp8"]) == ["tone", "all"]
    assert figures["understanding"]["refused"] == figures["understanding"]["false_refusals"] == 1
    for text in ("2 held-out edits of photographs", "1 held-out edits at 12 MP", "6 sentences"):
        assert text in output
    with Image.open(sheet) as image:
        assert image.format == "JPEG" and image.width > 2 * 3 * 192
    assert ElementTree.fromstring(plot.read_text()).tag.endswith("svg")
    assert all(f"wrote {path}" in output.replace("\n", "") for path in (report, sheet, plot))


def test_what_is_not_asked_is_not_evaluated(repository, monkeypatch, capsys):
    monkeypatch.setattr(evaluate, "Lane", None)
    monkeypatch.setattr(worlds, "photographs", None)
    sheet = repository / "held-out.jpg"
    run(repository, "--photos", "0", "--large", "0", "--sentences", "0", "--sheet", str(sheet))
    assert capsys.readouterr().out == "" and not sheet.exists()


def test_missing_photographs_are_named_before_any_work(repository, monkeypatch):
    folder = repository / "nowhere"
    monkeypatch.setattr(
        worlds, "photographs", lambda split: photos.load_photos(split, folder=folder)
    )
    monkeypatch.setattr(evaluate, "evaluate_shapes", None)
    with pytest.raises(SystemExit, match="error: no photographs in .*run `make photos`, or 0 for"):
        run(repository)


def test_an_old_parser_reads_no_sentences(repository, monkeypatch, capsys):
    monkeypatch.setattr(evaluate, "knows_unknown", lambda repository: False)
    report = repository / "eval.json"
    run(repository, "--photos", "0", "--large", "0", "--json", str(report))
    assert capsys.readouterr().out.splitlines()[0] == evaluate.NO_UNKNOWN
    assert json.loads(report.read_text()) == {"scenes": 1}


def test_defaults_are_the_whole_evaluation():
    options = parse([], DESCRIPTION)
    assert (options.scenes, options.photos, options.large) == (500, 600, 24)
    assert options.sentences is None


@pytest.mark.parametrize(
    "option, message",
    [
        (["--scenes", "0"], "--scenes is 0; it must be 1 or more"),
        (["--photos", "-1"], "--photos is -1; it must be 0 or more"),
        (["--large", "-1"], "--large is -1; it must be 0 or more"),
        (["--sentences", "-1"], "--sentences is -1; it must be 0 or more"),
        (["--steps", "51"], "--steps is 51; it must be 0 to 50"),
        (["--precision", "fp16"], "invalid choice: 'fp16'"),
    ],
)
def test_options_out_of_their_limits(option, message, capsys):
    with pytest.raises(SystemExit):
        parse(option, DESCRIPTION)
    assert message in capsys.readouterr().err
