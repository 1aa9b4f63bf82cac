"""Checks of a profile's parts against the machine, before anything of them is loaded: runners,
devices and the GPU's memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from retouch.artifacts.manifest import ArtifactError, Manifest, read
from retouch.artifacts.tensorrt_plan import PlanInfo
from retouch.artifacts.typed_folder import part_in
from retouch.backends.auto import candidates, listed
from retouch.backends.obstacles import (
    FIRST,
    ONNX_CUDA,
    TENSORRT,
    TORCH,
    graphs_of,
    missing_gpu,
    obstacle,
)
from retouch.backends.offload import is_offloaded
from retouch.launcher.placements import Placement
from retouch.launcher.start_failure import ServerError
from retouch.util import env
from retouch.util.device import CPU, Device, parse
from retouch.util.gpu_machine import GpuMachine

AUTO = "auto"
READ_DEVICE = (AUTO, ONNX_CUDA, TORCH)  # runners on the device of the environment
CONTEXT_BYTES = 256 << 20  # of a process on a GPU, at least: pull request 9447 of InvokeAI


def check_parts(parts: Iterable[Placement], machine: GpuMachine) -> None:
    """ServerError, one sentence on the first part that cannot run here, or on their memory."""
    on_gpu = [part for part in parts if part.may_use_gpu]
    device = check_device(on_gpu, machine)
    used: dict[Placement, str] = {}
    for part in on_gpu:
        runner = runner_of(part, machine, device)
        if runner and _device_of(part, machine, device).kind != CPU:
            used[part] = runner
    index = (device or FIRST).index
    if used and index < len(machine.gpus):
        check_memory(used, machine, index)


def check_host_memory(parts: Iterable[Placement], available: int | None) -> None:
    """ServerError when the graph files of the parts on the CPU exceed the machine's free memory.

    ONNX Runtime holds every graph by itself, and 16-bit numbers in 32 bits, so they need more."""
    on_cpu = [part for part in parts if part.runner and not part.may_use_gpu]
    models = {part.model for part in on_cpu}
    needed = sum(_file_bytes(part) for part in on_cpu)
    if available is not None and needed > available:
        raise ServerError(
            f"the graphs of {len(models)} models on the CPU have {needed / 1e9:.1f} GB, and "
            f"{available / 1e9:.1f} GB of memory are free; export fewer lanes, or free some memory"
        )


def check_device(parts: Iterable[Placement], machine: GpuMachine) -> Device | None:
    """The device that the environment names for one of these parts; ServerError when it does not
    exist."""
    if not any(part.runner in READ_DEVICE for part in parts):
        return None
    try:
        device = parse(env.DEVICE.get())
    except ValueError as failure:
        raise ServerError(str(failure)) from None
    if device is not None and (missing := missing_gpu(machine, device)):
        raise ServerError(f"{env.DEVICE.name} is {env.DEVICE.get()}, and {missing}")
    return device


def check_memory(runners: dict[Placement, str], machine: GpuMachine, index: int) -> None:
    """ServerError when the weights and processes of these parts exceed the GPU's free memory. Edits
    need more: `retouch inspect` counts that."""
    gpu = machine.gpus[index]
    needed = least_bytes(runners)
    models = {part.model for part in runners}
    if gpu.free_bytes and needed > gpu.free_bytes:
        raise ServerError(
            f"the {len(models)} models on the GPU need {needed / 1e9:.1f} GB at least, and "
            f"cuda:{index} ({gpu.name}) has {gpu.free_bytes / 1e9:.1f} GB free; export narrower or "
            "fewer lanes, as `retouch inspect CHECKPOINT` advises"
        )


def least_bytes(runners: Mapping[Placement, str]) -> int:
    """Memory that these parts occupy at least: their models' processes, and their weights. Of an
    offloaded model only one folder's are there at a time."""
    sizes: dict[str, list[int]] = {}
    for part, runner in runners.items():
        sizes.setdefault(part.model, []).append(weight_bytes(part, runner))
    total = 0
    for part in {part.model: part for part in runners}.values():
        count = max if is_offloaded(part.model, part.runner) else sum
        weights = count(sizes[part.model])
        total += CONTEXT_BYTES + weights if weights else 0
    return total


def weight_bytes(part: Placement, runner: str) -> int:
    """Weights of a part as its runner holds them, at least.

    A torch network is loaded once for all graphs of its weights, so only the largest counts."""
    manifest = read(part.folder)
    if runner == TENSORRT:
        owner = part_in(part.folder)
        plans = [PlanInfo.of(manifest, graph, owner) for graph in graphs_of(manifest)]
        return sum(plan.weight_bytes for plan in plans)
    sizes = [_graph_bytes(part.folder, manifest, graph) for graph in graphs_of(manifest)]
    return max(sizes, default=0) if runner == TORCH else sum(sizes)


def _file_bytes(part: Placement) -> int:
    """Bytes of a part's graphs; 0 without artifacts, which the model itself reports."""
    try:
        manifest = read(part.folder)
    except ArtifactError:
        return 0
    return sum(_graph_bytes(part.folder, manifest, graph) for graph in graphs_of(manifest))


def _graph_bytes(folder: Path, manifest: Manifest, graph: str) -> int:
    names = (f"{graph}.onnx", f"{graph}.onnx.data")
    paths = [folder / name for name in names if name in manifest.files]
    return sum(path.stat().st_size for path in paths if path.is_file())


def _device_of(part: Placement, machine: GpuMachine, device: Device | None) -> Device:
    """The device that a runner takes: torch takes the CPU where nothing else is named or there."""
    if device is None and part.runner == TORCH and not part.is_on_gpu:
        return FIRST if machine.gpus and machine.torch_cuda else Device(CPU)
    return device or FIRST


def runner_of(part: Placement, machine: GpuMachine, device: Device | None) -> str:
    """The runner of a part; empty where it has no artifacts, which the model itself reports.
    ServerError."""
    if part.runner == TENSORRT and not part.is_on_gpu:
        return ""  # an emulated TensorRT, which has no GPU
    try:
        manifest = read(part.folder)
        if part.runner == AUTO:
            runners, reasons = candidates(part.folder, machine, device)
            if not runners:
                raise ServerError(f"no runner can run {part.name} here: {listed(reasons)}")
            return runners[0]
    except ArtifactError:
        return ""
    place = _device_of(part, machine, device)
    reason = obstacle(part.runner, manifest, machine, place, part_in(part.folder))
    if reason:
        raise ServerError(f"{part.name} cannot run by the runner {part.runner}: {reason}")
    return part.runner
