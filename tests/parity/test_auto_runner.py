"""Which runner a stage gets on a machine, and the sentences on what is missing."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import replace

import pytest

from gpu_machines import A100, FULL, H200, PACKAGES, PLAN, without
from retouch.artifacts.manifest import FLOAT32, ArtifactError, Manifest
from retouch.backends import auto, base
from retouch.backends.auto import best_backend, candidates, part_of
from retouch.backends.obstacles import ON_GPU, obstacle
from retouch.backends.onnx import OnnxBackend
from retouch.launcher.server import ROOT
from retouch.util.device import Device
from retouch.util.gpu_machine import GpuMachine, parsed_gpus

CONNECTOR = ROOT / "model_repository" / "connector" / "1"


def manifest(arithmetic="bfloat16", **changes):
    files = {"reference.onnx": "", "step.onnx": "", "step.onnx.data": ""}
    plans = {"reference": PLAN, "step": PLAN}
    networks = {"text": {"library": "transformers"}, "vae": {"library": "diffusers"}}
    settings = {"passes": "retouch.networks.flux2_passes", "networks": networks}
    fields = {"files": files, "plans": plans, "settings": settings} | changes
    return Manifest("instructx", "", "bf16", arithmetic, 20, **fields)


def test_a_full_machine_runs_everything():
    assert [obstacle(runner, manifest(), FULL) for runner in ON_GPU] == ["", "", ""]


@pytest.mark.parametrize(
    "runner, machine, sentence",
    [
        ("tensorrt", without("tensorrt"), "the package tensorrt is not installed"),
        ("tensorrt", without("cuda-bindings"), "the package cuda-bindings is not installed"),
        ("tensorrt", replace(FULL, gpus=()), "this machine has no GPU"),
        (
            "tensorrt",
            replace(FULL, gpus=(A100,)),
            "the plan of reference was built for NVIDIA H200 (compute capability 9.0) and this is "
            "NVIDIA A100 (compute capability 8.0)",
        ),
        (
            "tensorrt",
            replace(FULL, packages=PACKAGES | {"tensorrt": "11.4.0"}),
            "was built by TensorRT 10.16.1 and this is TensorRT 11.4.0",
        ),
        ("onnx-cuda", without("onnxruntime-gpu"), "the package onnxruntime-gpu is not installed"),
        ("onnx-cuda", replace(FULL, gpus=()), "this machine has no GPU"),
        ("torch", without("torch"), "the package torch is not installed"),
        ("torch", without("diffusers"), "the package diffusers is not installed"),
        ("torch", without("transformers"), "the package transformers is not installed"),
        ("torch", replace(FULL, torch_cuda=""), "torch 2.11.0 is a build without CUDA"),
        ("torch", replace(FULL, gpus=()), "this machine has no GPU"),
    ],
)
def test_what_a_machine_lacks(runner, machine, sentence):
    assert sentence in obstacle(runner, manifest(), machine)


@pytest.mark.parametrize(
    "runner, graphs, sentence",
    [
        ("tensorrt", manifest(plans={"step": PLAN}), "has no TensorRT plan of reference"),
        ("onnx-cuda", manifest("E4M3, bfloat16"), "these graphs are E4M3, bfloat16"),
        ("torch", manifest("E2M1, E4M3, bfloat16"), "it does not multiply FP4"),
        ("torch", manifest(settings={}), "run the export again"),
    ],
)
def test_what_graphs_lack(runner, graphs, sentence):
    assert sentence in obstacle(runner, graphs, FULL)


def test_fp8_needs_matrix_units():
    older = replace(FULL, gpus=(A100,))
    assert "does not multiply FP8" in obstacle("torch", manifest("E4M3, bfloat16"), older)
    assert obstacle("torch", manifest(), older) == ""


def test_devices():
    assert "there is no cuda:1 here; the last GPU is cuda:0" in obstacle(
        "torch", manifest(), FULL, Device("cuda", 1)
    )
    bare = GpuMachine(packages={"torch": "2.13.0+cpu", "diffusers": "0.42.1", "transformers": "5"})
    assert obstacle("torch", manifest(), bare, Device("cpu")) == ""
    assert obstacle("onnx-cuda", manifest(FLOAT32), bare, Device("cpu")) == ""
    assert "GPUs alone" in obstacle("tensorrt", manifest(), FULL, Device("cpu"))


def test_a_stage_without_graphs_needs_nothing():
    for runner in ON_GPU:
        assert obstacle(runner, manifest(files={}), GpuMachine()) == ""


# -- the choice ------------------------------------------------------------------------------------


@pytest.fixture
def chosen(monkeypatch):
    """No stage has a runner yet; the machine is full."""
    monkeypatch.setattr(auto, "_chosen", {})
    monkeypatch.setattr(auto, "gpu_machine", lambda: FULL)


class Fails:
    def __init__(self, folder, graph, keep=()):
        raise ArtifactError("the driver is too old")


class Runs:
    def __init__(self, folder, graph, keep=()):
        self.graph = graph


def test_the_order_is_plan_onnx_cuda_torch():
    runners, reasons = candidates(CONNECTOR, FULL, None)
    assert (
        runners[0] == "onnx-cuda"
        and "has no TensorRT plan of model; build it" in reasons["tensorrt"]
    )
    assert candidates(CONNECTOR, FULL, Device("cpu"))[0] == ["onnx"]


def test_one_line_says_what_runs_and_why(chosen, monkeypatch, caplog):
    monkeypatch.setattr(base, "BACKENDS", {"onnx-cuda": (__name__, "Runs")})
    with caplog.at_level(logging.INFO, logger="retouch"):
        assert isinstance(best_backend(CONNECTOR, "model"), Runs)
        best_backend(CONNECTOR, "model")
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("connector runs by onnx-cuda: tensorrt: connector in bf16 has no")
    assert "torch" not in line  # a runner after the chosen one is no reason


def test_what_fails_when_it_is_opened_is_passed_over(chosen, monkeypatch, caplog):
    backends = {"onnx-cuda": (__name__, "Fails"), "torch": (__name__, "Runs")}
    monkeypatch.setattr(base, "BACKENDS", backends)
    monkeypatch.setattr(auto, "read", lambda folder: manifest(plans={}))
    with caplog.at_level(logging.INFO, logger="retouch"):
        assert isinstance(best_backend(CONNECTOR, "model"), Runs)
    assert "connector runs by torch: " in caplog.text
    assert "onnx-cuda: the driver is too old" in caplog.text


def test_all_graphs_of_a_stage_have_one_runner(chosen, monkeypatch):
    """A later graph does not change the runner: outputs stay on its device."""
    monkeypatch.setattr(base, "BACKENDS", {"onnx-cuda": (__name__, "Runs")})
    best_backend(CONNECTOR, "model")
    monkeypatch.setattr(base, "BACKENDS", {"onnx-cuda": (__name__, "Fails")})
    with pytest.raises(ArtifactError, match="the driver is too old"):
        best_backend(CONNECTOR, "other")


def test_without_any_runner_all_are_named(chosen, monkeypatch):
    monkeypatch.setattr(auto, "gpu_machine", GpuMachine)
    with pytest.raises(ArtifactError) as failure:
        best_backend(CONNECTOR, "model")
    sentence = str(failure.value)
    assert sentence.startswith("no runner can run connector here: tensorrt: the package tensorrt")
    assert "onnx-cuda: the package onnxruntime-gpu" in sentence and "; torch: " in sentence


def test_on_the_cpu_it_is_the_runner_onnx(chosen, monkeypatch):
    monkeypatch.setenv("RETOUCH_DEVICE", "cpu")
    backend = best_backend(CONNECTOR, "model")
    assert isinstance(backend, OnnxBackend)
    monkeypatch.setenv("RETOUCH_DEVICE", "gpu")
    monkeypatch.setattr(auto, "_chosen", {})
    with pytest.raises(ArtifactError, match="RETOUCH_DEVICE is 'gpu'; it must be"):
        best_backend(CONNECTOR, "model")


def test_names_of_parts(tmp_path):
    assert part_of(tmp_path / "vl_parser" / "1") == "vl_parser"
    assert part_of(tmp_path / "vl_parser" / "1" / "fp8") == "vl_parser/fp8"


# -- the machine -----------------------------------------------------------------------------------


def test_what_nvidia_smi_answers():
    text = (
        "NVIDIA H200, 9.0, 143771, 143000, 570.86.15\n"
        "NVIDIA GB10, 12.1, [N/A], [N/A], 580.95.05\n"
        "No devices were found\n"
    )
    driver, gpus = parsed_gpus(text)
    assert driver == "580.95.05"
    assert [(gpu.name, gpu.capability, gpu.total_bytes >> 20) for gpu in gpus] == [
        ("NVIDIA H200", (9, 0), 143771),
        ("NVIDIA GB10", (12, 1), 0),
    ]
    assert str(H200) == "NVIDIA H200 (compute capability 9.0, 161 GB, 150 GB free)"
    assert parsed_gpus("") == ("", ())


def test_this_machine_is_looked_at_without_loading_torch():
    code = (
        "import sys; from retouch.util.gpu_machine import PACKAGES, gpu_machine; "
        "machine = gpu_machine(); assert set(machine.packages) <= set(PACKAGES); "
        "assert all(machine.packages.values()) and 'torch' not in sys.modules; "
        "print(machine.torch_cuda or 'no CUDA')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    torch = pytest.importorskip("torch")
    assert done.stdout.strip() == (torch.version.cuda or "no CUDA")
