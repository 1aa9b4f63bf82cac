"""What a machine has for work on GPUs: the GPUs, the driver and the installed packages.

Nothing of CUDA is loaded: GPUs are those of `nvidia-smi`, and packages are known by their
metadata."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

QUERY = "name,compute_cap,memory.total,memory.free,driver_version"
SECONDS = 10.0
# names under which a package is installed, by the name that errors use
PACKAGES = {
    "tensorrt": ("tensorrt", "tensorrt-cu13", "tensorrt-cu12"),
    "cuda-bindings": ("cuda-bindings",),
    "onnxruntime-gpu": ("onnxruntime-gpu",),
    "torch": ("torch",),
    "diffusers": ("diffusers",),
    "transformers": ("transformers",),
}
MIB = 1 << 20
# compute capability of the first GPUs with matrix units for FP8 (E4M3): Ada, Hopper, Blackwell
FP8_CAPABILITY = (8, 9)


@dataclass(frozen=True)
class Gpu:
    """A GPU's name, its compute capability (major, minor), and its memory, 0 where the driver does
    not report it."""

    name: str
    capability: tuple[int, int]
    total_bytes: int
    free_bytes: int

    def __str__(self) -> str:
        major, minor = self.capability
        return (
            f"{self.name} (compute capability {major}.{minor}, {self.total_bytes / 1e9:.0f} GB, "
            f"{self.free_bytes / 1e9:.0f} GB free)"
        )


@dataclass(frozen=True)
class GpuMachine:
    """`packages` maps those of PACKAGES that are installed to their versions. `torch_cuda` is the
    CUDA that torch was built for, empty for a build without."""

    gpus: tuple[Gpu, ...] = ()
    driver: str = ""
    packages: dict[str, str] = field(default_factory=dict)
    torch_cuda: str = ""


@cache
def gpu_machine() -> GpuMachine:
    """This machine, as it is at the first call."""
    driver, gpus = parsed_gpus(_nvidia_smi())
    packages = {name: _version(names) for name, names in PACKAGES.items()}
    installed = {name: release for name, release in packages.items() if release}
    return GpuMachine(gpus, driver, installed, _torch_cuda())


def parsed_gpus(text: str) -> tuple[str, tuple[Gpu, ...]]:
    """The driver and the GPUs in the lines that `nvidia-smi` answers to QUERY. Lines of another
    form are ignored."""
    driver = ""
    gpus = []
    for line in text.splitlines():
        fields = [value.strip() for value in line.split(",")]
        match = re.fullmatch(r"(\d+)\.(\d+)", fields[1]) if len(fields) == 5 else None
        if match is None:
            continue
        capability = int(match[1]), int(match[2])
        gpus.append(Gpu(fields[0], capability, _bytes(fields[2]), _bytes(fields[3])))
        driver = fields[4]
    return driver, tuple(gpus)


def _bytes(mebibytes: str) -> int:
    return int(mebibytes) * MIB if mebibytes.isdigit() else 0


def _nvidia_smi() -> str:
    command = ("nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader,nounits")
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else done.stdout


def _version(names: tuple[str, ...]) -> str:
    for name in names:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return ""


def _torch_cuda() -> str:
    """The CUDA of the installed torch, by the file that its build writes; torch is not loaded."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return ""
    path = Path(spec.origin).with_name("version.py")
    text = path.read_text() if path.is_file() else ""
    match = re.search(r"^cuda\b.*?=\s*'([\d.]+)'", text, re.MULTILINE)
    return match[1] if match else ""
