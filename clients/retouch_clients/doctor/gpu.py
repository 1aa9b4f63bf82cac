"""Checks of what the profiles gpu, hopper and blackwell need. The profile cpu needs none of it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from retouch.artifacts.manifest import NAME
from retouch.backends.obstacles import TORCH
from retouch.launcher.part_checks import least_bytes
from retouch.launcher.placements import placements
from retouch.launcher.repository import models
from retouch.launcher.server import REPOSITORY
from retouch.util.extras import install_command
from retouch.util.gpu_machine import GpuMachine, gpu_machine
from retouch_clients.doctor.check import Check, installed_version, is_loadable

LIBRARY = "libcuda.so.1"
# the driver branch of CUDA 13, for which onnxruntime-gpu 1.31 and tensorrt-cu13 are built
DRIVER = 580
TENSORRT = ((10, 16), (12, 0))  # the first release, and the first that was not tried
# of a checkpoint as large as FLUX.1 Kontext: 34 GB of weights, 44 of the denoiser's graphs in three
# lanes, 44 of their plans, 37 of the text models' graphs, and 18 of the parts' plans
DISK_GB = 180
PLANS = "needed for TensorRT plans only; onnx-cuda and torch run without"


def gpu() -> Iterator[Check]:
    """All checks on a machine with a GPU; without one, the GPU and the driver."""
    machine = gpu_machine()
    yield Check(
        bool(machine.gpus),
        f"GPU {'; '.join(map(str, machine.gpus))}" if machine.gpus else "no NVIDIA GPU",
        "the profiles gpu, hopper and blackwell need one that `nvidia-smi` lists; cpu needs none",
        optional=True,
    )
    yield _driver(machine)
    if machine.gpus:
        yield from _runners(machine)
        yield from _room(machine)


def _driver(machine: GpuMachine) -> Check:
    is_there = is_loadable(Path(LIBRARY))
    branch = re.match(r"\d+", machine.driver)
    is_old = branch is not None and int(branch[0]) < DRIVER
    old = (
        f"packages for CUDA 13 need driver {DRIVER} or newer; update it, or use builds for CUDA 12"
    )
    missing = "needed for a GPU only; install the driver, and start containers with --gpus all"
    return Check(
        is_there and not is_old,
        " ".join(filter(None, ("NVIDIA's driver", machine.driver, f"({LIBRARY})"))),
        old if is_there else missing,
        optional=True,
    )


def _runners(machine: GpuMachine) -> Iterator[Check]:
    """The packages of the runners that a GPU can have, the best first."""
    tensorrt = machine.packages.get("tensorrt", "")
    first, last = TENSORRT
    release = tuple(map(int, re.findall(r"\d+", tensorrt)[:2]))
    yield Check(
        first <= release < last,
        f"TensorRT {tensorrt}" if tensorrt else "no TensorRT",
        f"{PLANS}; run {install_command('tensorrt')}, which has 10.16 to 11",
        optional=True,
    )
    yield Check(
        "cuda-bindings" in machine.packages,
        f"cuda-bindings {machine.packages.get('cuda-bindings', 'is missing')}",
        f"{PLANS}; run {install_command('tensorrt')}",
        optional=True,
    )
    onnxruntime = machine.packages.get("onnxruntime-gpu", "")
    other = installed_version("onnxruntime")
    yield Check(
        bool(onnxruntime) and not other,
        f"onnxruntime-gpu {onnxruntime or 'is missing'}" + f", onnxruntime {other}" * bool(other),
        "the runner onnx-cuda needs onnxruntime-gpu alone: both packages fill one folder. Run "
        "`pip uninstall onnxruntime onnxruntime-gpu` and `pip install onnxruntime-gpu[cuda,cudnn]`",
        optional=True,
    )
    torch = machine.packages.get("torch", "")
    build = f" for CUDA {machine.torch_cuda}" if machine.torch_cuda else " without CUDA"
    yield Check(
        bool(torch and machine.torch_cuda),
        f"torch {torch}{build}" if torch else "no torch",
        "the runner torch needs a build with CUDA; choose one at pytorch.org",
        optional=True,
    )


def _room(machine: GpuMachine) -> Iterator[Check]:
    """Memory of the first GPU for the exported models, and disk space for a large checkpoint."""
    needed = _least_bytes(REPOSITORY)
    free = machine.gpus[0].free_bytes
    yield Check(
        needed <= free or not free,
        f"{free / 1e9:.1f} GB of GPU memory are free, the exported models need "
        f"{needed / 1e9:.1f} GB at least",
        "stop other programs, or export narrower or fewer lanes; `retouch inspect CHECKPOINT` "
        "counts all of it",
        optional=True,
    )
    disk = shutil.disk_usage(REPOSITORY if REPOSITORY.exists() else Path.cwd()).free / 1e9
    yield Check(
        disk >= DISK_GB,
        f"{disk:.0f} GB of disk space are free for checkpoints, graphs and plans",
        f"a checkpoint as large as FLUX.1 Kontext takes {DISK_GB} GB in three lanes with plans",
        optional=True,
    )


def _least_bytes(repository: Path) -> int:
    """Memory that the models of the profile gpu occupy at least; those without artifacts none."""
    parts = placements(repository, "gpu", models(repository, "gpu"))
    exported = [part for part in parts if part.is_on_gpu and (part.folder / NAME).is_file()]
    return least_bytes(dict.fromkeys(exported, TORCH))
