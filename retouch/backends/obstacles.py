"""Why a runner cannot run a stage's graphs on a machine, from its manifest and the machine's facts
alone. Nothing is loaded."""

from __future__ import annotations

from retouch.artifacts.manifest import FLOAT32, ArtifactError, Manifest
from retouch.artifacts.tensorrt_plan import Machine, PlanInfo
from retouch.util.device import CPU, Device
from retouch.util.gpu_machine import FP8_CAPABILITY, Gpu, GpuMachine

TENSORRT = "tensorrt"
ONNX_CUDA = "onnx-cuda"
ONNX_CUDA_PACKAGE = "onnxruntime-gpu"
TORCH = "torch"
ON_GPU = (TENSORRT, ONNX_CUDA, TORCH)  # the best first
FIRST = Device("cuda")
FP4 = "E2M1"  # in a manifest's arithmetic
FP8 = "E4M3"
NO_GPU = "this machine has no GPU that `nvidia-smi` lists"


def obstacle(
    runner: str,
    manifest: Manifest,
    machine: GpuMachine,
    device: Device | None = None,
    part: str = "",
) -> str:
    """One clause without a full stop; empty when the runner can run the graphs on `device`, by
    default the first GPU. `part` is the stage of the manifest, "" for the denoiser."""
    device = device or FIRST
    if not graphs_of(manifest):
        return ""  # the identity, which nothing runs
    if runner == TENSORRT:
        return _of_tensorrt(manifest, machine, device, part)
    if runner == ONNX_CUDA:
        return _of_onnx_cuda(manifest, machine, device)
    if runner == TORCH:
        return _of_torch(manifest, machine, device)
    return ""


def graphs_of(manifest: Manifest) -> list[str]:
    return [name.removesuffix(".onnx") for name in manifest.files if name.endswith(".onnx")]


def libraries_of(manifest: Manifest) -> list[str]:
    """The packages with the classes of a stage's networks, by its settings; Retouch's own left
    out."""
    networks = manifest.settings.get("networks", {}).values()
    libraries = {network.get("library", "") for network in networks}
    return sorted(libraries & {"diffusers", "transformers"})


def missing_gpu(machine: GpuMachine, device: Device) -> str:
    """Why the machine lacks a device; empty when it is there."""
    if device.kind == CPU or device.index < len(machine.gpus):
        return ""
    if not machine.gpus:
        return NO_GPU
    last = len(machine.gpus) - 1
    return f"there is no {device} here; the last GPU is cuda:{last}"


def _of_tensorrt(manifest: Manifest, machine: GpuMachine, device: Device, part: str) -> str:
    if TENSORRT not in machine.packages:
        return "the package tensorrt is not installed (pip install tensorrt-cu13)"
    if "cuda-bindings" not in machine.packages:
        return "the package cuda-bindings is not installed (pip install cuda-bindings)"
    if device.kind == CPU:
        return "TensorRT runs on GPUs alone"
    if missing := missing_gpu(machine, device):
        return missing
    gpu: Gpu = machine.gpus[device.index]
    here = Machine(gpu.name, gpu.capability, machine.packages[TENSORRT])
    try:
        for graph in graphs_of(manifest):
            PlanInfo.of(manifest, graph, part).check(here, graph)
    except ArtifactError as failure:
        return str(failure)
    return ""


def _of_onnx_cuda(manifest: Manifest, machine: GpuMachine, device: Device) -> str:
    if manifest.arithmetic not in (FLOAT32, "bfloat16"):
        return f"it runs float32 and bfloat16, and these graphs are {manifest.arithmetic}"
    if device.kind == CPU:
        return ""
    if ONNX_CUDA_PACKAGE not in machine.packages:
        return "the package onnxruntime-gpu is not installed (pip install onnxruntime-gpu)"
    return missing_gpu(machine, device)


def _of_torch(manifest: Manifest, machine: GpuMachine, device: Device) -> str:
    if FP4 in manifest.arithmetic:
        return "it does not multiply FP4"
    for package in (TORCH, *libraries_of(manifest)):
        if package not in machine.packages:
            return f"the package {package} is not installed (pip install 'retouch[torch]')"
    if "passes" not in manifest.settings:
        return "the manifest does not name the network's module; run the export again"
    if device.kind == CPU:
        return ""
    if not machine.torch_cuda:
        return f"torch {machine.packages[TORCH]} is a build without CUDA"
    if missing := missing_gpu(machine, device):
        return missing
    gpu = machine.gpus[device.index]
    if FP8 in manifest.arithmetic and gpu.capability < FP8_CAPABILITY:
        return f"{gpu.name} does not multiply FP8"
    return ""
