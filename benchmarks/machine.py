"""The machine of a benchmark: processor, memory, system, versions and commit."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from retouch.launcher.server import ROOT

CPUINFO = Path("/proc/cpuinfo")
RELEASE = Path("/etc/os-release")
PACKAGES = {
    "ONNX Runtime": "onnxruntime",
    "NumPy": "numpy",
    "nvidia-pytriton": "nvidia-pytriton",
    "tritonclient": "tritonclient",
}


@dataclass(frozen=True)
class Machine:
    """`memory` is in bytes. `versions` has the usual names of the packages. `commit` ends in + when
    files differ from it."""

    cpu: str
    cores: int
    memory: int
    system: str
    python: str
    versions: dict[str, str]
    commit: str

    @property
    def processor(self) -> str:
        return f"{self.cores} × {self.cpu}"


def machine() -> Machine:
    """This one."""
    names = _values(CPUINFO, "model name", ":")
    return Machine(
        cpu=names[0] if names else platform.processor() or platform.machine(),
        cores=len(names) or os.cpu_count() or 1,
        memory=psutil.virtual_memory().total,
        system=(
            f"{' '.join(_values(RELEASE, 'PRETTY_NAME', '=')) or platform.system()}, kernel "
            f"{platform.release()}"
        ),
        python=platform.python_version(),
        versions={
            name: installed
            for name, package in PACKAGES.items()
            if (installed := _version(package))
        },
        commit=_git("rev-parse", "--short", "HEAD")
        + ("+" if _git("status", "--porcelain", "-uno") else "")
        or "unknown",
    )


def _values(path: Path, key: str, sign: str) -> list[str]:
    lines = path.read_text().splitlines() if path.is_file() else []
    return [line.partition(sign)[2].strip().strip('"') for line in lines if line.startswith(key)]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True
        ).stdout.strip()
    except OSError:
        return ""
