"""Which lanes a repository has, and what their weights weigh."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from retouch.manifest import ArtifactError, Manifest, publish
from training.lane import exported, weight_bytes


def publish_lane(repository, name, settings=None, **graphs):
    folder, staging = repository / f"denoiser_{name}" / "1", repository / "staging"
    folder.mkdir(parents=True)
    staging.mkdir()
    for stem, weight in graphs.items():
        graph = helper.make_graph([], "g", [], [], [numpy_helper.from_array(weight, "weight")])
        onnx.save(helper.make_model(graph), staging / f"{stem.replace('_', '.')}.onnx")
    publish(staging, folder, Manifest("instructx", "c" * 64, name, "float32", 20, settings=settings or {}))
    staging.rmdir()
    return folder


def test_lanes_are_those_with_a_manifest(tmp_path):
    publish_lane(tmp_path, "fp4")
    publish_lane(tmp_path, "bf16")
    (tmp_path / "denoiser_fp8" / "1").mkdir(parents=True)
    assert exported(tmp_path) == ["bf16", "fp4"]
    with pytest.raises(ArtifactError, match="denoiser_fp8"):
        weight_bytes(tmp_path / "denoiser_fp8" / "1")


def test_bytes_are_the_manifests(tmp_path):
    counted = {"bf16": 100, "fp8": 3000}
    assert weight_bytes(publish_lane(tmp_path, "fp8", {"bytes": counted}, step=np.zeros((4, 4), np.float32))) == counted


def test_bytes_of_an_export_that_did_not_count_them(tmp_path):
    wide = np.zeros((10, 16), np.float32)
    narrow = wide.astype(helper.tensor_dtype_to_np_dtype(TensorProto.FLOAT8E4M3FN))
    assert weight_bytes(publish_lane(tmp_path, "bf16", step=wide)) == {"bf16": 320}
    assert weight_bytes(publish_lane(tmp_path, "fp8", step=wide, step_tensorrt=narrow)) == {"fp8": 160}
