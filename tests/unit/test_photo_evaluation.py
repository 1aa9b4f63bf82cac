"""Edits of held-out photographs: which there are, their answers, and the figures and table."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console

from photo_answers import BAD, GOOD, NEAR, FakeLane, answers, untouched
from training import worlds
from training.photo import held_out
from training.photo.evaluation import edit_photos, photo_figures
from training.photo.table import photo_tables
from training_pictures import use_samples

KINDS = "tone tone place object"


@pytest.fixture()
def figures():
    return photo_figures(
        {
            "bf16": answers(KINDS, [GOOD, GOOD, GOOD, BAD]),
            "fp8": answers(KINDS, [GOOD, BAD, GOOD, BAD]),
            "fp4": answers(KINDS, [BAD, BAD, GOOD, GOOD]),
        }
    )


@pytest.fixture()
def samples(monkeypatch):
    use_samples(monkeypatch)


def test_figures_by_lane_and_kind(figures):
    assert list(figures["bf16"]) == ["tone", "place", "object", "all"]
    assert figures["bf16"]["all"] == {
        "edits": 4,
        "success": 0.75,
        "near": 0.0,
        "loss_points": 0.0,
        "difference": 2.5,
        "before": 10.0,
        "moved_outside": 1,
        "detail": 1.0,
        "seconds": 2.5,
    }
    assert figures["bf16"]["object"]["detail"] is None
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_points_lost_are_against_the_reference(figures):
    lost = {
        lane: {kind: row["loss_points"] for kind, row in rows.items()}
        for lane, rows in figures.items()
    }
    assert lost["fp8"] == {"tone": 50.0, "place": 0.0, "object": 0.0, "all": 25.0}
    assert lost["fp4"] == {"tone": 100.0, "place": 0.0, "object": -100.0, "all": 25.0}
    alone = photo_figures({"fp4": answers("tone", [GOOD])})
    assert alone["fp4"]["all"]["loss_points"] is None


def test_an_edit_may_be_near_its_source():
    rows = photo_figures({"bf16": answers("tone tone place", [NEAR, GOOD, BAD])})["bf16"]
    assert [row["near"] for row in rows.values()] == [0.5, 0.0, pytest.approx(1 / 3)]


def test_no_answer_has_no_row():
    assert photo_figures({"bf16": []}) == {"bf16": {}}


def test_three_lanes_fit_eighty_columns(figures):
    console = Console(file=io.StringIO(), width=80)
    console.print(*photo_tables(figures, "4 held-out edits"), sep="\n")
    output = console.file.getvalue()
    rows = [line.split() for line in output.splitlines()]
    assert ["all", "4", "0%", "75.0%", "50.0%", "25.0", "50.0%", "25.0"] in rows
    assert ["object", "1", "0%", "0.0%", "0.0%", "0.0", "100.0%", "-100.0"] in rows
    assert ["all", "2.5", "10.0", "100%", "1", "2.50"] in rows
    assert ["object", "7.0", "10.0", "–", "1", "4.00"] in rows
    assert "…" not in output and "4 held-out edits" in output and "quality by bf16" in output


def test_held_out_edits_take_kinds_and_shapes_in_turn(samples):
    edits = list(held_out.held_out(8))
    assert [edit.kind for edit in edits] == [*held_out.KINDS, *held_out.KINDS]
    assert [edit.example.bucket for edit in edits[:3]] == [(512, 512), (384, 640), (640, 384)]
    assert all(edit.example.edits for edit in edits)
    again = list(held_out.held_out(4))
    for edit, other in zip(edits, again):
        assert edit.example.sentence == other.example.sentence
        np.testing.assert_array_equal(edit.example.target, other.example.target)


def test_large_edits_are_of_the_originals(samples, monkeypatch):
    monkeypatch.setattr(held_out, "LARGE", (192, 256))
    monkeypatch.setattr(held_out, "LEAST_ORIGINAL", 192)
    edits = list(held_out.held_out_large(4))
    assert [edit.kind for edit in edits] == list(held_out.KINDS)
    for edit in edits:
        assert edit.example.source.shape == edit.example.target.shape == (192, 256, 3)
        assert edit.example.edits and len(edit.example.contents) == 12 * 16


def test_pictures_of_12_mp_have_whole_cells():
    height, width = held_out.LARGE
    assert height % 16 == width % 16 == 0 and height * width >= 12_000_000


def test_without_photographs_there_are_no_edits(samples, monkeypatch):
    with pytest.raises(FileNotFoundError, match="12 MP; run `make photos`"):
        next(held_out.held_out_large(1))
    monkeypatch.setattr(worlds, "photographs", lambda split: [])
    with pytest.raises(FileNotFoundError, match="run `make photos`"):
        next(held_out.held_out(1))


def test_all_lanes_make_the_same_edits(samples):
    edits = list(held_out.held_out(4))
    exact = FakeLane("bf16", lambda request: edits[request.seed].example.target)
    idle = FakeLane("fp8", untouched)
    outcome = edit_photos([exact, idle], edits, shown={1, 3}, steps=2)
    assert exact.requests == idle.requests
    assert [request.seed for request in exact.requests] == [0, 1, 2, 3]
    assert {(row.steps, row.on_unknown, row.detail) for row in exact.requests} == {
        (2, "try", "auto")
    }
    assert [row.kind for row in outcome.answers["fp8"]] == list(held_out.KINDS)
    assert all(row.judgement.success and row.seconds > 0 for row in outcome.answers["bf16"])
    for row in outcome.answers["fp8"]:
        assert row.judgement.difference == row.judgement.unchanged > 0
    assert [sample.edit for sample in outcome.samples] == [edits[1], edits[3]]
    for sample in outcome.samples:
        np.testing.assert_array_equal(sample.pixels, sample.edit.example.target)
        assert sample.judgement.success
