"""The backend `auto`: for a stage the best runner that works on this machine.

The order is a TensorRT plan, then onnx-cuda, then torch. All graphs of a stage have one runner, so
that outputs of one stay on the device for the other. Where RETOUCH_DEVICE is cpu, the runner is
onnx."""

from __future__ import annotations

import logging
from pathlib import Path

from retouch.artifacts.manifest import ArtifactError, read
from retouch.artifacts.typed_folder import part_in
from retouch.backends.base import Backend, backend_of
from retouch.backends.obstacles import ON_GPU, obstacle
from retouch.util import env
from retouch.util.device import CPU, Device, parse
from retouch.util.gpu_machine import GpuMachine, gpu_machine

log = logging.getLogger(__name__)
_chosen: dict[Path, str] = {}  # runners by the folders that this process has opened


def best_backend(folder: Path, graph: str, keep: tuple[str, ...] = ()) -> Backend:
    """A graph by the folder's runner, which is chosen with the first graph and logged.
    ArtifactError, for the first graph with what every runner lacks."""
    folder = Path(folder).absolute()
    if folder in _chosen:
        return backend_of(_chosen[folder])(folder, graph, keep)
    runners, reasons = candidates(folder, gpu_machine(), _device())
    for runner in runners:
        try:
            backend = backend_of(runner)(folder, graph, keep)
        except (ArtifactError, ImportError) as failure:
            reasons[runner] = str(failure)
            continue
        _chosen[folder] = runner
        log.info("%s runs by %s: %s", part_of(folder), runner, _why(runner, reasons))
        return backend
    raise ArtifactError(f"no runner can run {part_of(folder)} here: {listed(reasons)}")


def candidates(
    folder: Path, machine: GpuMachine, device: Device | None
) -> tuple[list[str], dict[str, str]]:
    """The runners that can run a stage's graphs by what is known beforehand, the best first, and
    why the others cannot."""
    if device is not None and device.kind == CPU:
        return ["onnx"], {name: f"{env.DEVICE.name} is cpu" for name in ON_GPU}
    manifest = read(folder)
    part = part_in(folder)
    reasons = {name: obstacle(name, manifest, machine, device, part) for name in ON_GPU}
    runners = [name for name in ON_GPU if not reasons[name]]
    return runners, {name: reason for name, reason in reasons.items() if reason}


def listed(reasons: dict[str, str]) -> str:
    """What every runner lacks, as one clause."""
    return "; ".join(f"{runner}: {reason}" for runner, reason in reasons.items())


def part_of(folder: Path) -> str:
    """The stage of a version folder, or of a folder of a precision in it: vl_parser or
    vl_parser/bf16."""
    if folder.name.isdecimal():
        return folder.parent.name
    return f"{folder.parents[1].name}/{folder.name}"


def _why(runner: str, reasons: dict[str, str]) -> str:
    """Why no better runner was chosen."""
    better = ON_GPU[: ON_GPU.index(runner)] if runner in ON_GPU else ON_GPU
    passed_over = {name: reasons[name] for name in better if name in reasons}
    return listed(passed_over) if passed_over else "it is the first choice"


def _device() -> Device | None:
    try:
        return parse(env.DEVICE.get())
    except ValueError as failure:
        raise ArtifactError(str(failure)) from None
