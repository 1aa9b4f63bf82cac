"""What the doctor finds where something is missing."""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from retouch.artifacts.manifest import Manifest
from retouch.launcher.server import HOST, free_port
from retouch.util.gpu_machine import Gpu, GpuMachine, gpu_machine
from retouch_clients.command import retouch
from retouch_clients.doctor import checks, gpu, machine, packages, server
from retouch_clients.doctor.check import Check, installed_version


def find(checks, text):
    (checked,) = (check for check in checks if text in check.what)
    return checked


def test_packages_that_are_not_as_pinned_are_named(tmp_path):
    pins = tmp_path / "requirements.txt"
    pins.write_text(
        f"# pinned\nclick=={installed_version('click')}\npillow==1.2.3\nno-such-package==4.5\n"
    )
    check = find(packages.packages(pins), "requirements.txt")
    assert not check.good and not check.optional and check.what.startswith("1 of 3")
    assert f"pillow {installed_version('pillow')}, pinned 1.2.3" in check.advice
    assert "no-such-package is missing" in check.advice
    assert "click" not in check.advice


def test_pins_of_other_pythons_are_left_out(tmp_path):
    (tmp_path / "requirements.txt").write_text(
        "a==1 ; python_full_version < '3.0'\na==2 ; python_full_version >= '3.0'\nb==3\n"
    )
    assert dict(packages.pins_of(tmp_path / "requirements.txt")) == {"a": "2", "b": "3"}


def test_a_local_build_is_its_release():
    assert (
        packages.is_same_release("2.13.0+cpu", "2.13.0")
        and not packages.is_same_release("2.13.1", "2.13.0")
        and not packages.is_same_release(None, "1")
    )


def test_numpy_2_breaks_the_rule(monkeypatch):
    for version, good in (("2.1.0", False), (None, False), ("1.26.4", True)):
        monkeypatch.setattr(packages, "installed_version", lambda name, version=version: version)
        check = find(packages.numpy_version(), "numpy")
        assert check.good is good and "numpy < 2" in check.advice


def model(repository, name, files):
    folder = repository / name / "1"
    folder.mkdir(parents=True)
    (repository / name / "config.pbtxt").write_text("")
    return folder, {"files": {file: "00" for file in files}}


def test_artifacts_that_are_missing_or_damaged(tmp_path):
    for name, files in (
        ("connector", ["model.onnx"]),
        ("vae_decoder", ["model.onnx"]),
        ("denoiser_bf16", []),
    ):
        folder, reported = model(tmp_path, name, files)
        manifest = asdict(Manifest("instructx", "", "bf16", "bfloat16", 20)) | reported
        (folder / "manifest.json").write_text(
            json.dumps(manifest) if name != "denoiser_bf16" else "{"
        )
        if name == "connector":
            (folder / "model.onnx").write_bytes(b"")
    checked = list(server.artifacts(tmp_path))
    assert find(checked, "connector").good
    assert (
        "model.onnx is missing" in find(checked, "vae_decoder").advice
        and not find(checked, "vae_decoder").good
    )
    assert "damaged" in find(checked, "denoiser_bf16").advice
    assert not find(checked, "lane fp8").good and find(checked, "lane fp8").optional


def test_a_port_that_another_program_has(monkeypatch):
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        monkeypatch.setattr(server, "PORTS", {"HTTP": other.getsockname()[1], "gRPC": free_port()})
        away, http, grpc = server.server(f"{HOST}:{free_port()}", http=False)
    assert not away.good and away.optional and "retouch serve" in away.advice
    assert not http.good and "--http-port 0" in http.advice and grpc.good


def test_what_is_optional_does_not_count(monkeypatch):
    good = Check(True, "one")
    bad = Check(False, "two", "mend it")
    spare = Check(False, "three", "or not", optional=True)
    for checked, code in (([good, spare], 0), ([good, bad, spare], 1)):
        monkeypatch.setattr(checks, "checks", lambda url, http, checked=checked: iter(checked))
        result = CliRunner().invoke(retouch, ["doctor"])
        assert (
            result.exit_code == code
            and "ok  one" in result.output
            and "--  three: or not" in result.output
        )
    assert "NO  two: mend it" in result.output


def test_what_is_told_is_no_markup(monkeypatch):
    check = Check(False, "one [/red]", "see [two]", optional=True)
    monkeypatch.setattr(checks, "checks", lambda url, http: iter([check]))
    assert "--  one [/red]: see [two]" in CliRunner().invoke(retouch, ["doctor"]).output


H200 = Gpu("NVIDIA H200", (9, 0), 150 << 30, 140 << 30)
PACKAGES = {"tensorrt": "10.16.1.11", "cuda-bindings": "13.0.1", "torch": "2.11.0"}
GPU_MACHINE = GpuMachine((H200,), "580.95.05", PACKAGES, "13.0")


@pytest.mark.parametrize(
    "smi, what",
    [
        ("echo 'NVIDIA H200, 9.0, 143771, 143000, 580.95.05'", "GPU NVIDIA H200 (compute"),
        ("exit 9", "no NVIDIA GPU"),
        ("", "no NVIDIA GPU"),
    ],
)
def test_a_gpu_is_looked_for(tmp_path, monkeypatch, smi, what):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{smi}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(gpu, "gpu_machine", gpu_machine.__wrapped__)
    checked = list(gpu.gpu())
    assert find(checked, what).good == what.startswith("GPU") and all(
        check.optional for check in checked
    )
    assert find(checked, "libcuda")
    assert any("TensorRT" in check.what for check in checked) == what.startswith("GPU")


def gpu_checks(monkeypatch, machine_facts=GPU_MACHINE, onnxruntime=None, disk=200e9):
    monkeypatch.setattr(gpu, "gpu_machine", lambda: machine_facts)
    monkeypatch.setattr(gpu, "is_loadable", lambda path: True)
    monkeypatch.setattr(gpu, "_least_bytes", lambda repository: 2e9)
    monkeypatch.setattr(gpu, "installed_version", lambda name: onnxruntime)
    monkeypatch.setattr(gpu.shutil, "disk_usage", lambda path: SimpleNamespace(free=disk))
    return list(gpu.gpu())


def test_a_gpu_machine_with_everything(monkeypatch):
    full = replace(GPU_MACHINE, packages=PACKAGES | {"onnxruntime-gpu": "1.31.1"})
    checked = gpu_checks(monkeypatch, full)
    assert [check.what for check in checked if not check.good] == []
    assert find(checked, "torch 2.11.0 for CUDA 13.0") and find(checked, "TensorRT 10.16.1.11")


@pytest.mark.parametrize(
    "machine_facts, what, advice",
    [
        (replace(GPU_MACHINE, driver="570.86.15"), "driver 570.86.15", "driver 580 or newer"),
        (replace(GPU_MACHINE, torch_cuda=""), "torch 2.11.0 without CUDA", "a build with CUDA"),
        (replace(GPU_MACHINE, packages={}), "no TensorRT", "run pip install 'retouch[tensorrt]'"),
        (
            replace(GPU_MACHINE, packages={"tensorrt": "10.9.0"}),
            "TensorRT 10.9.0",
            "which has 10.16 to 11",
        ),
        (replace(GPU_MACHINE, packages={}), "cuda-bindings is missing", "retouch[tensorrt]"),
        (GPU_MACHINE, "onnxruntime-gpu is missing, onnxruntime 1.32.0", "fill one folder"),
        (
            replace(GPU_MACHINE, gpus=(replace(H200, free_bytes=1 << 20),)),
            "0.0 GB of GPU memory are free, the exported models need 2.0 GB at least",
            "`retouch inspect CHECKPOINT`",
        ),
    ],
)
def test_what_a_gpu_machine_lacks(monkeypatch, machine_facts, what, advice):
    check = find(gpu_checks(monkeypatch, machine_facts, onnxruntime="1.32.0"), what)
    assert not check.good and check.optional and advice in check.advice


def test_disk_space_of_a_large_checkpoint(monkeypatch):
    for free, good in ((179e9, False), (181e9, True)):
        check = find(gpu_checks(monkeypatch, disk=free), "disk space are free for checkpoints")
        assert check.good is good and "takes 180 GB" in check.advice


@pytest.mark.parametrize(
    "script, good, message",
    [("echo 27.1", True, ""), ("exit 1", False, "does not answer"), (None, False, "not installed")],
)
def test_docker_is_looked_for(tmp_path, monkeypatch, script, good, message):
    if script:
        (tmp_path / "docker").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    check = find(machine.optional_programs(), "docker")
    assert check.good is good and check.optional and message in check.advice


@pytest.mark.parametrize("limit, good", [(64, False), (1023, False), (1024, True), (-1, True)])
def test_too_few_open_files_are_told(monkeypatch, limit, good):
    monkeypatch.setattr(machine.resource, "getrlimit", lambda kind: (limit, limit))
    check = find(machine.machine(), "files may be open")
    assert check.good is good and not check.optional and "ulimit -n 1024" in check.advice


@pytest.mark.parametrize("free_mb, good", [(3, False), (499, False), (5000, True)])
def test_too_little_disk_space_is_told(monkeypatch, free_mb, good):
    monkeypatch.setattr(
        machine.shutil, "disk_usage", lambda path: SimpleNamespace(free=free_mb * 2**20)
    )
    check = find(machine.machine(), "disk space")
    assert check.good is good and check.what.startswith(f"{free_mb} MB")
