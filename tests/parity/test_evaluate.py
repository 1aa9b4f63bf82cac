"""The evaluation as a command, on a checkpoint of random weights whose second lane is a copy of its
first."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from retouch.api.request import EditRequest
from retouch.imaging import images
from retouch.offline.plain_loop import PlainLoop
from training import evaluate, shape_edits
from training.lane import Lane
from training.render import render
from training.scenes import held_out
from training_pictures import use_samples

SHAPES_ALONE = ("--photos", "0", "--large", "0", "--sentences", "0")


@pytest.fixture()
def lanes(repository, monkeypatch):
    """The repository with a lane fp8 that is bf16's very own graphs; LPIPS's weights are not
    needed."""
    copy = repository / "denoiser_fp8"
    shutil.copytree(repository / "denoiser_bf16", copy)
    monkeypatch.setattr(
        shape_edits, "Lpips", lambda: lambda a, b: float(np.abs(a.astype(float) - b).max())
    )
    yield repository
    shutil.rmtree(copy)


def test_all_that_is_exported_in_one_table(lanes, tmp_path, capsys):
    json_path = tmp_path / "out" / "eval.json"
    sheet = tmp_path / "out" / "worst.png"
    evaluate.main(
        [
            "--repository",
            str(lanes),
            "--precision",
            "--scenes",
            "3",
            *SHAPES_ALONE,
            "--json",
            str(json_path),
            "--worst",
            str(sheet),
        ]
    )
    output = capsys.readouterr().out
    figures = json.loads(json_path.read_text())
    assert "3 held-out scenes" in output and str(sheet) in output
    assert list(figures["lanes"]) == ["bf16", "fp8"]
    wide, narrow = figures["lanes"].values()
    assert narrow["identical"] == 3 and narrow["lpips_worst"] == narrow["loss_points"] == 0
    assert narrow["operations"] == wide["operations"] and narrow["bytes"] == wide["bytes"]
    assert min(wide["seconds_per_edit"], wide["seconds_per_step"]) > 0
    assert Image.open(sheet).height > 3 * 128


def evaluate_bf16(repository, *options):
    """One step of one scene, and what the options ask for."""
    fixed = ["--precision", "bf16", "--scenes", "1", "--steps", "1"]
    evaluate.main(["--repository", str(repository), *fixed, *options])


def test_bf16_alone_needs_no_lpips(repository, monkeypatch, capsys):
    monkeypatch.setattr(shape_edits, "Lpips", None)
    evaluate_bf16(repository, *SHAPES_ALONE)
    assert "bf16" in capsys.readouterr().out


def test_a_lane_that_is_not_exported_is_one_sentence(repository, capsys):
    with pytest.raises(
        SystemExit, match="error: denoiser_fp4/1 has no manifest.json; run the export first"
    ):
        evaluate.main(
            ["--repository", str(repository), "--precision", "fp4", "--scenes", "1", *SHAPES_ALONE]
        )


def test_photographs_and_sentences(repository, monkeypatch, tmp_path, capsys):
    use_samples(monkeypatch)
    json_path = tmp_path / "eval.json"
    sheet = tmp_path / "held-out.jpg"
    evaluate_bf16(
        repository,
        "--photos",
        "4",
        "--large",
        "0",
        "--sentences",
        "4",
        "--json",
        str(json_path),
        "--sheet",
        str(sheet),
    )
    output = " ".join(capsys.readouterr().out.split())
    rows = json.loads(json_path.read_text())["photos"]["bf16"]
    assert list(rows) == ["tone", "place", "detail", "object", "all"]
    assert rows["all"]["edits"] == 4 and rows["all"]["moved_outside"] == 0
    assert Image.open(sheet).width > 4 * 3 * 192
    assert "4 held-out edits of photographs" in output and evaluate.NO_UNKNOWN in output


def test_an_answer_is_the_plain_loops(repository):
    (pair,) = held_out(1)
    source = render(pair.source)
    target = render(pair.target)
    answer = Lane(repository, "bf16").edit(source, target, pair.instruction, seed=7, steps=5)
    assert len(answer.step_seconds) == 4 and answer.seconds > sum(answer.step_seconds) > 0
    request = EditRequest(images.encode(source.pixels), pair.instruction, seed=7, steps=5)
    np.testing.assert_array_equal(answer.pixels, images.decode(PlainLoop(repository).edit(request)))
