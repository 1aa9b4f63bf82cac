"""A profile against the machine, before anything is loaded: one sentence each."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from gpu_machines import FULL, H200, MIB, PACKAGES, PLAN, without
from graph_folders import add, add_typed, configured
from retouch.api.lanes import LANES
from retouch.launcher import server as server_module
from retouch.launcher.part_checks import (
    CONTEXT_BYTES,
    check_host_memory,
    check_parts,
    least_bytes,
    weight_bytes,
)
from retouch.launcher.placements import placements
from retouch.launcher.server import REPOSITORY, Server, ServerError
from retouch.launcher.write_profiles import ON_CPU, ON_GPU
from retouch.util.gpu_machine import Gpu, GpuMachine
from retouch.util.host_memory import available_bytes


@pytest.fixture
def repository(tmp_path):
    """A stage, and a denoiser with two graphs of 40 and 60 MiB and their plans."""
    add(tmp_path, "vae_decoder", {"model": 10 * MIB}, "float32")
    graphs = {"reference": 40 * MIB, "step": 60 * MIB}
    add(tmp_path, "denoiser_bf16", graphs, "bfloat16", {"reference": PLAN, "step": PLAN})
    return tmp_path


def parts(repository, runner="auto", group=ON_GPU):
    for model in ("vae_decoder", "denoiser_bf16"):
        (repository / model / "configs" / "test.pbtxt").write_text(configured(runner, group))
    return placements(repository, "test", ["vae_decoder", "denoiser_bf16"])


def failure(repository, machine, **options):
    with pytest.raises(ServerError) as raised:
        check_parts(parts(repository, **options), machine)
    sentence = str(raised.value)
    assert "\n" not in sentence and not sentence.endswith(".")
    return sentence


def test_where_models_run(repository):
    for model in placements(repository, "", ["vae_decoder", "denoiser_bf16"]):
        assert (model.runner, model.is_on_gpu, model.may_use_gpu) == ("onnx", False, False)
    for model in parts(repository):
        assert (model.runner, model.is_on_gpu, model.may_use_gpu) == ("auto", True, True)
    assert [part.runner for part in placements(REPOSITORY, "gpu", ["vl_parser", "edit"])] == [
        "auto",
        "",
    ]


def test_a_full_machine_passes(repository):
    check_parts(parts(repository), FULL)
    check_parts(parts(repository, "torch", ON_CPU), FULL)
    check_parts(parts(repository, "onnx-cuda"), FULL)


def test_without_any_runner_all_are_named(repository):
    sentence = failure(repository, without("tensorrt", "onnxruntime-gpu", "torch"))
    assert sentence.startswith("no runner can run vae_decoder here: tensorrt: the package tensorrt")
    assert "onnx-cuda: the package onnxruntime-gpu" in sentence
    assert "torch: the package torch is not installed" in sentence


@pytest.mark.parametrize("package", ["onnxruntime-gpu", "torch"])
def test_a_profile_without_its_wheel(repository, package):
    runner = package.replace("runtime-gpu", "-cuda")
    assert (
        f"vae_decoder cannot run by the runner {runner}: the package {package} is not installed"
    ) in failure(repository, without(package), runner=runner)


def test_tensorrt_without_its_wheel_or_plan(repository):
    assert "vae_decoder cannot run by the runner tensorrt: the package tensorrt" in failure(
        repository, without("tensorrt"), runner="tensorrt"
    )
    assert "has no TensorRT plan of model" in failure(repository, FULL, runner="tensorrt")


def test_fp4_graphs_of_a_part_run_by_their_plan(tmp_path):
    """By the profile blackwell: no other runner multiplies FP4."""
    stage = tmp_path / "vl_parser"
    entry = PLAN | {"precision": "fp4", "part": "vl_parser"}
    add(tmp_path, "vl_parser", {"text": 10 * MIB}, "float32", {})
    shutil.copytree(REPOSITORY / "vl_parser" / "configs", stage / "configs", dirs_exist_ok=True)
    lanes = [f"denoiser_{lane}" for lane in LANES]
    for lane in lanes:
        add(tmp_path, lane, {"step": MIB}, "bfloat16")
    for precision, arithmetic in (("bf16", "bfloat16"), ("fp4", "E2M1, E4M3, bfloat16")):
        add_typed(tmp_path, "vl_parser", precision, {"text": MIB}, arithmetic, {"text": entry})
    served = placements(tmp_path, "blackwell", ["vl_parser", *lanes])[:3]
    assert [part.name for part in served] == ["vl_parser/bf16", "vl_parser", "vl_parser/fp4"]
    check_parts(served, FULL)
    assert weight_bytes(served[2], "tensorrt") == 20 * MIB
    with pytest.raises(ServerError) as raised:
        check_parts(served, replace(FULL, packages=PACKAGES | {"tensorrt": "11.4.0"}))
    sentence = str(raised.value)
    assert (
        "no runner can run vl_parser/fp4 here: tensorrt: the plan of vl_parser's text" in sentence
    )
    assert "retouch export CHECKPOINT --parts fp4 --tensorrt" in sentence


def test_torch_without_cuda(repository):
    assert "vae_decoder cannot run by the runner torch: torch 2.11.0 is a build without" in failure(
        repository, replace(FULL, torch_cuda=""), runner="torch"
    )
    # the profile torch takes the CPU then
    check_parts(parts(repository, "torch", ON_CPU), replace(FULL, torch_cuda=""))
    check_parts(parts(repository, "torch", ON_CPU), replace(FULL, gpus=()))


def test_a_plan_of_another_gpu(repository):
    b200 = replace(FULL, gpus=(Gpu("NVIDIA B200", (10, 0), 180 << 30, 180 << 30),))
    with pytest.raises(
        ServerError,
        match="denoiser_bf16 cannot run by the runner tensorrt: the plan of reference was built "
        r"for NVIDIA H200 \(compute capability 9.0\) and this is NVIDIA B200",
    ):
        check_parts(parts(repository, "tensorrt")[1:], b200)


def test_a_device_that_does_not_exist(repository, monkeypatch):
    for name, sentence in (
        ("cuda:3", "RETOUCH_DEVICE is cuda:3, and there is no cuda:3 here; the last GPU is cuda:0"),
        ("gpu", "RETOUCH_DEVICE is 'gpu'; it must be cpu, cuda or cuda with a number, as cuda:1"),
    ):
        monkeypatch.setenv("RETOUCH_DEVICE", name)
        assert failure(repository, FULL) == sentence
    monkeypatch.setenv("RETOUCH_DEVICE", "cuda:1")
    check_parts(parts(repository), replace(FULL, gpus=(H200, H200)))
    assert "RETOUCH_DEVICE is cuda:1, and this machine has no GPU" in failure(
        repository, replace(FULL, gpus=()), runner="torch", group=ON_CPU
    )


def test_the_cpu_needs_no_gpu(repository, monkeypatch):
    monkeypatch.setenv("RETOUCH_DEVICE", "cpu")
    check_parts(parts(repository, "auto", ON_CPU), GpuMachine())
    check_parts(parts(repository, "torch", ON_CPU), replace(FULL, gpus=(), torch_cuda=""))


def test_least_memory(repository):
    """Bytes of the files, of TensorRT's own count, and of the largest graph for torch."""
    decoder, denoiser = parts(repository)
    assert weight_bytes(decoder, "onnx-cuda") == 10 * MIB
    assert weight_bytes(denoiser, "onnx-cuda") == 100 * MIB
    assert weight_bytes(denoiser, "torch") == 60 * MIB
    assert weight_bytes(denoiser, "tensorrt") == 40 * MIB
    assert least_bytes({decoder: "torch", denoiser: "torch"}) == 2 * CONTEXT_BYTES + 70 * MIB


def test_typed_graphs_of_every_lane(repository, monkeypatch):
    """One process of the parser holds the graphs of all lanes that are exported."""
    add(repository, "vl_parser", {"language": 7 * MIB}, "float32")
    add(repository, "denoiser_fp8", {"step": 1 * MIB}, "E4M3, bfloat16")
    add_typed(repository, "vl_parser", "bf16", {"language": 5 * MIB}, "bfloat16")
    path = repository / "vl_parser" / "configs" / "test.pbtxt"

    def served(text):
        parameter = f'parameters {{ key: "precision"  value {{ string_value: "{text}" }} }}'
        path.write_text(configured("auto", ON_GPU) + parameter)
        models = ["denoiser_bf16", "denoiser_fp8", "vl_parser"]
        return [
            part for part in placements(repository, "test", models) if part.model == "vl_parser"
        ]

    assert [part.name for part in served("")] == ["vl_parser"]
    # without a folder of its own, fp8 has the graphs of the version folder
    assert [part.name for part in served("bf16:auto,fp8:auto")] == ["vl_parser/bf16", "vl_parser"]
    add_typed(repository, "vl_parser", "fp8", {"language": 3 * MIB}, "E4M3, bfloat16")
    typed = served("bf16:auto,fp8:auto,fp4:auto")
    assert [part.name for part in typed] == ["vl_parser/bf16", "vl_parser/fp8"]
    runners = dict.fromkeys(typed, "torch")
    assert least_bytes(runners) == CONTEXT_BYTES + 8 * MIB
    with monkeypatch.context() as patch:
        patch.setenv("RETOUCH_OFFLOAD", "text")
        offloaded = served("bf16:auto,fp8:auto")
        assert [part.runner for part in offloaded] == ["torch", "torch"]
        assert least_bytes(dict.fromkeys(offloaded, "torch")) == CONTEXT_BYTES + 5 * MIB
    check_parts(typed, FULL)  # fp8 by torch, which onnx-cuda does not multiply
    with pytest.raises(ServerError, match="no runner can run vl_parser/fp8 here: tensorrt: "):
        check_parts(typed, without("torch"))
    with pytest.raises(ServerError, match="vl_parser: the parameter precision has 'fp16'"):
        served("fp16")


def test_too_little_memory(repository):
    # both by torch: two processes, and 10 and 60 MiB of weights
    needed = 2 * CONTEXT_BYTES + 70 * MIB
    small = replace(H200, free_bytes=needed - 1)
    sentence = failure(repository, replace(FULL, gpus=(small,)), runner="torch")
    assert sentence.startswith(
        f"the 2 models on the GPU need {needed / 1e9:.1f} GB at least, and cuda:0 (NVIDIA H200)"
    )
    for free in (needed, 0):  # 0: the driver does not report it
        enough = replace(FULL, gpus=(replace(H200, free_bytes=free),))
        check_parts(parts(repository, "torch"), enough)


def test_too_little_memory_of_the_host(repository, tmp_path):
    """The graphs of both models have 110 MiB; nothing is counted of models on a GPU."""
    on_cpu = placements(repository, "", ["vae_decoder", "denoiser_bf16"])
    with pytest.raises(ServerError, match=r"the graphs of 2 models on the CPU have 0.1 GB, and 0"):
        check_host_memory(on_cpu, 110 * MIB - 1)
    check_host_memory(on_cpu, 110 * MIB)
    check_host_memory(on_cpu, None)
    check_host_memory(parts(repository), 0)
    (tmp_path / "meminfo").write_text("MemFree:  1 kB\nMemAvailable:    2048 kB\n")
    assert available_bytes(tmp_path / "meminfo") == 2 * MIB
    assert available_bytes(tmp_path / "missing") is None


def test_a_missing_artifact_is_left_to_its_model(repository):
    (repository / "vae_decoder" / "1" / "manifest.json").unlink()
    check_parts(parts(repository), FULL)


def test_nothing_is_started(repository, monkeypatch, tmp_path):
    """The command shows the sentence, and leaves no log."""
    parts(repository, "torch", ON_CPU)
    monkeypatch.setattr(server_module, "gpu_machine", lambda: without("torch"))
    server = Server(Path(repository), profile="test", log=tmp_path / "server.log")
    with pytest.raises(ServerError, match="the package torch is not installed"):
        server.__enter__()
    assert server.process is None and not server.log.exists()
