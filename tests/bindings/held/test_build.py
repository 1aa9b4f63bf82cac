"""Plans are built, looked into and compared, and what must not be registered is refused in one
sentence."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from graphs import on_cpu, step
from lane import export, folder_of, inputs

from retouch.artifacts.manifest import ArtifactError, read, verify
from retouch.artifacts.tensorrt_plan import PlanInfo
from retouch.backends.tensorrt.backend import TensorRTBackend
from retouch.backends.tensorrt.engine import Engine
from retouch_export.tensorrt import NEEDS, lowered
from retouch_export.tensorrt import lowered as truth


@pytest.fixture
def narrow(world):
    """The narrowest lane that this TensorRT builds, and the next wider one."""
    return ("fp4", "fp8") if world.eleven else ("fp8", "bf16")


@pytest.fixture
def wide(tmp_path, world, narrow):
    """The next wider lane's folder; its step takes 2 ms."""
    lanes = ["bf16", "fp8"][: 1 + (narrow[1] == "fp8")]
    folder = None
    for milliseconds, lane in zip((3.0, 2.0)[-len(lanes) :], lanes):
        world.milliseconds = milliseconds
        folder = export(tmp_path, lane, wider=folder)
    world.milliseconds = 1.0
    return folder


def refused(root, lane, message, **changes):
    """The sentence with which an export is refused; it leaves nothing behind."""
    with pytest.raises(ArtifactError) as failure:
        export(root, lane, **changes)
    sentence = str(failure.value)
    assert message in sentence and "\n" not in sentence and str(root) not in sentence
    assert not list(folder_of(root, lane).iterdir())
    return sentence


def test_a_lane_is_built_and_described(tmp_path, world, wide, narrow):
    folder = export(tmp_path, narrow[0], wider=wide)
    assert {"reference.plan", "step.plan", "reference.onnx", "step.onnx"} <= set(
        verify(folder).files
    )
    plan = PlanInfo.of(read(folder), "step")
    assert (plan.gpu, plan.tensorrt, plan.precision) == (
        world.device.name,
        world.version,
        narrow[0],
    )
    assert tuple(plan.capability) == world.device.capability
    assert plan.layers == {"wide": 3, narrow[0]: 2}
    assert plan.bytes == (folder / "step.plan").stat().st_size
    assert plan.similarity == {"velocity": pytest.approx(1)}
    assert plan.milliseconds == {narrow[0]: pytest.approx(1), narrow[1]: pytest.approx(2)}
    assert [profile["tokens"] for profile in plan.profiles] == [
        [[1, 1, 32], [1, 8, 32], [1, 8, 32]],
        [[2, 1, 32], [4, 8, 32], [4, 8, 32]],
        [[1, 1, 32], [1, 6, 32], [1, 6, 32]],
        [[2, 1, 32], [4, 6, 32], [4, 6, 32]],
    ]
    assert PlanInfo.of(read(folder), "reference").milliseconds == {}


def test_progress_is_told(tmp_path, world):
    heard = []
    export(tmp_path, "bf16", say=lambda label, done: heard.append((label, done)))
    assert [done for label, done in heard if label == "step: Building"] == [0, 1 / 3, 2 / 3, 1, 1]
    assert ("step: comparing with ONNX Runtime", None) in heard


def test_ctrl_c_stops_a_build(tmp_path, world):
    def stop(label, done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(tmp_path, "bf16", say=stop)
    assert world.steps == 1
    assert not list(folder_of(tmp_path, "bf16").iterdir())


def test_timings_of_one_build_serve_the_next(tmp_path, world):
    export(tmp_path, "bf16")
    start = world.version.encode()
    assert world.timings == [start, start + b"+"]
    (file,) = (tmp_path / "cache").iterdir()
    assert file.name == f"nvidia-{'b200' if world.eleven else 'h200'}-{world.version}.timing"
    file.write_bytes(b"of another TensorRT")
    export(tmp_path, "bf16")
    assert world.timings[2:] == [start, start + b"+"]


def test_options_reach_the_builder(tmp_path, world, fakes):
    before = len(fakes.calls)
    export(tmp_path, "bf16", workspace=1 << 30, level=5)
    calls = fakes.calls[before:]
    for name in (
        "set_memory_pool_limit",
        "builder_optimization_level",
        "profiling_verbosity",
        "progress_monitor",
    ):
        assert ("IBuilderConfig", name) in calls
    assert ("IBuilderConfig", "set_flag") not in calls


def test_tensorrt_profiles_that_are_one_for_a_graph_count_once(tmp_path, world):
    """`reference` has no axis `region`."""
    small, large = (
        {"batch": (1, 1, 1), "cells": (8, 8, 8), "region": limits}
        for limits in ((1, 2, 4), (5, 8, 8))
    )
    manifest = read(export(tmp_path, "bf16", profiles=[small, large]))
    assert [len(PlanInfo.of(manifest, graph).profiles) for graph in ("reference", "step")] == [1, 2]


def test_a_graph_that_tensorrt_does_not_take_is_refused(tmp_path, world, monkeypatch):
    monkeypatch.setattr(
        world.classes["OnnxParser"],
        "parse_from_file",
        lambda self, model: bool(
            self.errors.append(world.new("ParserError", "no importer for Frobnicate"))
        ),
    )
    refused(tmp_path, "bf16", "does not understand reference.onnx: no importer for Frobnicate")


def test_a_build_that_fails_tells_why(tmp_path, world):
    world.fails = True
    refused(
        tmp_path, "bf16", "cannot build reference.onnx: [optimizer] no implementation for node 7"
    )


def test_a_table_that_does_not_fit_the_graph_is_refused(tmp_path, world):
    with pytest.raises(ValueError, match="the input tokens has a dynamic axis 'cells'"):
        export(tmp_path, "bf16", profiles=[{"batch": (1, 1, 1)}])


@pytest.mark.parametrize(
    "layers, message",
    [
        (("transformer_blocks.0.ff",), "4 wide matrix products, its graph 3"),
        (("transformer_blocks.0.ff", "transformer_blocks.0.to_out"), "has no FP"),
    ],
)
def test_a_plan_with_layers_made_wide_is_refused(tmp_path, world, wide, narrow, layers, message):
    world.widened = layers
    refused(tmp_path, narrow[0], message, wider=wide)
    refused(tmp_path, narrow[0], message, wider=wide, force=True)


def test_a_plan_with_weights_stored_wide_is_refused(tmp_path, world, wide, narrow):
    world.weight_share = 3.0
    assert "--force" in refused(tmp_path, narrow[0], "narrow weights were stored wide", wider=wide)
    assert export(tmp_path, narrow[0], wider=wide, force=True)


def test_a_plan_that_tells_only_names_is_refused(tmp_path, world, monkeypatch):
    """As the inspector does of plans that were built without detailed profiling."""
    monkeypatch.setattr(
        world.classes["EngineInspector"],
        "get_engine_information",
        lambda self, format: '{"Layers": ["a", "b"]}',
    )
    refused(tmp_path, "bf16", "names only")


def test_a_plan_that_computes_something_else_is_refused(tmp_path, world, wide, narrow):
    world.noise = 1.0
    for force in (False, True):
        refused(tmp_path, narrow[0], "computes another k than its graph", wider=wide, force=force)


def test_a_lane_that_is_not_faster_is_refused(tmp_path, world, wide, narrow):
    world.milliseconds = 2.0
    lane, wider = narrow
    refused(tmp_path, lane, f"takes 2.00 ms a step and {wider} 2.00 ms", wider=wide)
    folder = export(tmp_path, lane, wider=wide, force=True)
    assert PlanInfo.of(read(folder), "step").milliseconds == {
        lane: pytest.approx(2),
        wider: pytest.approx(2),
    }


def test_a_lane_without_the_wider_one_is_refused(tmp_path, world, wide, narrow):
    lane, wider = narrow
    message = f"must be faster than {wider}, which cannot be measured"
    refused(tmp_path, lane, message)
    world.device.name = "NVIDIA Next"
    world.device.capability = (13, 0)
    assert "NVIDIA Next (compute capability 13.0)" in refused(tmp_path, lane, message, wider=wide)
    folder = export(tmp_path, lane, wider=wide, force=True)
    assert PlanInfo.of(read(folder), "step").milliseconds == {}


def test_fp4_needs_tensorrt_11_and_blackwell(tmp_path, world):
    if world.eleven:
        world.device.name = "NVIDIA H200"
        world.device.capability = (9, 0)
        message = "needs a Blackwell GPU or newer (compute capability 10.0) and this is NVIDIA H200"
    else:
        message = f"needs TensorRT 11.0 or newer and this is {world.version}"
    assert "export the lane fp8" in refused(tmp_path, "fp4", message, force=True)


@pytest.mark.parametrize("lane, capability", [("fp8", (8, 6)), ("bf16", (7, 5))])
def test_a_gpu_too_old_for_a_lane_is_refused(tmp_path, world, lane, capability):
    world.device.capability = capability
    sentence = refused(tmp_path, lane, NEEDS[lane].hardware)
    assert ("export the lane bf16" in sentence) == (lane == "fp8")


def test_a_stripped_plan_takes_its_weights_from_the_graph(tmp_path, world):
    whole = export(tmp_path / "whole", "bf16")
    folder = export(tmp_path / "stripped", "bf16", strip=True)
    step_inputs = inputs()
    with TensorRTBackend(folder, "step") as stripped, TensorRTBackend(whole, "step") as full:
        assert (
            stripped.run(**step_inputs)["velocity"] == full.run(**step_inputs)["velocity"]
        ).all()
    weights = (folder / "step.onnx").read_bytes()[-2048:]
    assert weights not in (folder / "step.plan").read_bytes()
    (folder / "step.onnx").write_bytes(b"of another export")
    with pytest.raises(ArtifactError, match="step.onnx of denoiser_bf16/1 is not the file"):
        TensorRTBackend(folder, "step")


def test_the_truth_is_the_lowered_graph_on_onnx_runtime(tmp_path):
    onnx.save(on_cpu(step("fp8")), tmp_path / "step.onnx")
    step_inputs = inputs()
    np.testing.assert_array_equal(
        lowered(tmp_path / "step.onnx")(step_inputs)["velocity"],
        truth(tmp_path / "step.onnx")(step_inputs)["velocity"],
    )


def test_weights_of_another_graph_are_refused(tmp_path, world):
    folder = export(tmp_path, "bf16", strip=True)
    engine = Engine((folder / "step.plan").read_bytes(), "step.plan")
    with pytest.raises(
        ArtifactError,
        match="the weights of reference.onnx do not fit step.plan: a weight is missing",
    ):
        engine.refit(folder / "reference.onnx")
