"""Which lanes a repository has."""

from __future__ import annotations

from retouch.artifacts.manifest import Manifest, publish
from training.lane import exported


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
