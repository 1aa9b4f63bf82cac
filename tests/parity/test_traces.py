"""Artifacts have the same bytes whether their graphs were traced or found in the cache of traced
graphs."""

from __future__ import annotations

import pytest

from exports import exported_anew
from kontext_tiny import make_pipeline
from retouch.artifacts.manifest import sha256
from retouch_export import trace, trace_cache

PART = "vl_parser"
GRAPHS = 2  # a part that streams its weights, some widened where they are used


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Two of one architecture."""
    folder = tmp_path_factory.mktemp("traces")
    for seed in range(2):
        make_pipeline(seed, text_layers=1).save_pretrained(folder / str(seed))
    return [folder / "0", folder / "1"]


def artifacts(checkpoint, repository):
    """SHA-256 of each graph and its weights, by name, after an export."""
    exported_anew(checkpoint, "--repository", repository, "--only", PART)
    return {path.name: sha256(path) for path in repository.rglob("*.onnx*")}


def test_the_same_bytes(checkpoints, tmp_path, monkeypatch):
    monkeypatch.setenv(trace_cache.FOLDER, "0")
    plain = artifacts(checkpoints[1], tmp_path / "plain")
    monkeypatch.setenv(trace_cache.FOLDER, str(tmp_path / "graphs"))
    other = artifacts(checkpoints[0], tmp_path / "other")
    assert len(list((tmp_path / "graphs").glob("*.onnx.gz"))) == GRAPHS

    def again(graph, inputs):
        pytest.fail(f"{graph.file} is traced again")

    monkeypatch.setattr(trace, "_trace", again)
    assert artifacts(checkpoints[1], tmp_path / "found") == plain != other
