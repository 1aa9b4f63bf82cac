"""Which lanes a repository has, and where a lane's last edit may have changed its picture."""

from __future__ import annotations

import numpy as np
import pytest

from retouch.api.request import EditRequest
from retouch.api.response import EditAnswer, EditInfo
from retouch.artifacts.manifest import Manifest, publish
from retouch.offline.plain_loop import PlainLoop
from training.lane import Lane, exported

CELLS = np.arange(64) < 8  # the first row of a picture of 128 × 128


@pytest.fixture()
def lane(tmp_path, monkeypatch):
    """One whose loop takes three steps, or none for the instruction "nothing"."""

    def answer(loop, request):
        if request.instruction != "nothing":
            list(loop.denoise(np.zeros((128, 128, 3), np.uint8), None, CELLS))
        return EditAnswer(b"picture", (3, 3), EditInfo("", 0, "bf16"))

    monkeypatch.setattr(PlainLoop, "__init__", lambda *arguments, **others: None)
    monkeypatch.setattr(PlainLoop, "answer", answer)
    monkeypatch.setattr(PlainLoop, "denoise", lambda *arguments: iter(range(3)))
    publish_lane(tmp_path, "bf16")
    return Lane(tmp_path, "bf16")


def publish_lane(repository, name):
    folder = repository / f"denoiser_{name}" / "1"
    staging = repository / "staging"
    folder.mkdir(parents=True)
    staging.mkdir()
    publish(staging, folder, Manifest("instructx", "c" * 64, name, "float32", 20))
    staging.rmdir()


def test_lanes_are_those_with_a_manifest(tmp_path):
    publish_lane(tmp_path, "fp4")
    publish_lane(tmp_path, "bf16")
    (tmp_path / "denoiser_fp8" / "1").mkdir(parents=True)
    assert exported(tmp_path) == ["bf16", "fp4"]


def test_the_region_is_that_of_the_cells(lane):
    assert lane.run(EditRequest(b"", "make it blue")) == b"picture"
    region = lane.region(256, 512)
    assert region.shape == (256, 512) and region[:32].all() and not region[32:].any()
    assert len(lane._loop.step_seconds) == 2


def test_an_edit_that_asks_for_nothing_has_no_region(lane):
    lane.run(EditRequest(b"", "make it blue"))
    lane.run(EditRequest(b"", "nothing"))
    assert not lane.region(128, 128).any() and lane.region(96, 64).shape == (96, 64)
    assert lane._loop.step_seconds == []
