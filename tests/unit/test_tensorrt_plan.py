"""What the manifest says of a plan, and that TensorRT is asked for by nobody who does not want
it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from retouch.artifacts.manifest import ArtifactError, Manifest
from retouch.artifacts.tensorrt_plan import Machine, PlanInfo
from retouch.launcher.server import ROOT

HERE = Machine("NVIDIA H200", (9, 0), "11.4.0.106")
PLAN = PlanInfo(
    "NVIDIA H200",
    (9, 0),
    "11.4.0.106",
    "fp8",
    [{"x": [[1, 4], [2, 4], [8, 4]]}],
    100,
    90,
    {"fp8": 3, "wide": 1},
    False,
    {"y": 0.9991},
    {"fp8": 1.5, "bf16": 2.5},
)


def manifest(**plans):
    return Manifest("instructx", "c" * 64, "fp8", "none", 23, plans=plans)


def test_a_plan_is_read_as_it_was_written():
    assert PlanInfo.of(manifest(step=PLAN.to_manifest()), "step") == PLAN
    PLAN.check(HERE, "step")


def test_another_gpu_of_the_same_capability_will_do():
    PLAN.check(Machine("NVIDIA H100", (9, 0), "11.4.0.106"), "step")


@pytest.mark.parametrize(
    "machine, message",
    [
        (
            Machine("NVIDIA H200", (9, 0), "10.16.1.11"),
            "built by TensorRT 11.4.0.106 and this is TensorRT 10.16.1.11",
        ),
        (Machine("NVIDIA H200", (9, 0), "11.4.1.7"), "this is TensorRT 11.4.1.7"),
        (
            Machine("NVIDIA B200", (10, 0), "11.4.0.106"),
            r"built for NVIDIA H200 \(compute capability 9.0\) and this is NVIDIA B200 "
            r"\(compute capability 10.0\)",
        ),
    ],
)
def test_a_plan_for_another_machine_is_refused(machine, message):
    with pytest.raises(
        ArtifactError, match=f"{message}.*retouch export CHECKPOINT --precision fp8 --tensorrt"
    ):
        PLAN.check(machine, "step")


@pytest.mark.parametrize(
    "plans, message",
    [
        ({}, "no TensorRT plan of step"),
        ({"step": {"gpu": "x"}}, "damaged"),
        ({"step": {**PLAN.to_manifest(), "colour": "red"}}, "damaged"),
    ],
)
def test_a_manifest_without_the_plan_is_refused(plans, message):
    with pytest.raises(ArtifactError, match=message):
        PlanInfo.of(manifest(**plans), "step")


def test_a_part_is_named_with_its_command():
    command = "retouch export CHECKPOINT --parts fp8 --tensorrt"
    plan = replace(PLAN, part="vl_parser")
    with pytest.raises(ArtifactError, match=f"the plan of vl_parser's language was.*{command}"):
        plan.check(Machine("NVIDIA B200", (10, 0), "11.4.0.106"), "language")
    for plans, message in (
        ({}, "vl_parser in fp8 has no TensorRT plan of language"),
        ({"language": {"gpu": "x"}}, "the plan of vl_parser's language is damaged"),
    ):
        with pytest.raises(ArtifactError, match=f"{message}; .*{command}"):
            PlanInfo.of(manifest(**plans), "language", "vl_parser")


@pytest.mark.parametrize(
    "missing, message",
    [
        ("tensorrt", "needs TensorRT's Python package"),
        ("cuda.bindings", "needs the Python package cuda-bindings"),
    ],
)
@pytest.mark.parametrize("module", ["retouch.backends.tensorrt.backend", "retouch_export.tensorrt"])
def test_a_machine_without_nvidias_packages_is_told_which(module, missing, message):
    code = f"""
import sys, types
for name in ("cuda", "cuda.bindings", "cuda.bindings.runtime"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["cuda.bindings"].runtime = sys.modules["cuda.bindings.runtime"]
sys.modules[{missing!r}] = None
from retouch.artifacts.manifest import ArtifactError
try:
    import {module}
except ArtifactError as refused:
    print(refused)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert message in done.stdout and done.stdout.count("\n") == 1


def test_serving_without_tensorrt_does_not_look_for_it():
    code = """
import sys
import retouch.engine.denoiser, retouch.backends.onnx, retouch.artifacts.tensorrt_plan
print([name for name in ("tensorrt", "cuda", "ml_dtypes") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
