"""NVIDIA's perf_analyzer: the binary from a wheel, and the libraries that it loads."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import platform
import subprocess
import sys
import zipfile
from pathlib import Path

from retouch.launcher.server import RUNTIME

VERSION = "2.47.0"  # the last release of tritonclient whose wheel contains the binary
WHEEL = f"tritonclient-{VERSION}-py3-none-manylinux1_x86_64.whl"
FOLDER = RUNTIME / "perf_analyzer"
LIBRARIES = {  # pattern in pytriton, by the name that the binary loads
    "libb64.so.0d": "libb64-*.so.0d",
    "libcudart.so.12": "libcudart-*.so.12*",
}


class AnalyzerError(RuntimeError):
    """perf_analyzer is unavailable or has failed; the message is one sentence."""


def prepare() -> tuple[Path, Path]:
    """The binary and the folder of its libraries, installed at the first call; AnalyzerError."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise AnalyzerError("perf_analyzer's wheel is for Linux on x86-64")
    binary = FOLDER / "bin" / "perf_analyzer"
    libraries = FOLDER / "lib"
    libraries.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:  # two processes may start at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.is_file():
            _unpack(_fetch(), binary)
        _link(libraries)
    return binary, libraries


def _link(libraries: Path) -> None:
    """Link the libraries under the names that the binary loads."""
    spec = importlib.util.find_spec("pytriton")
    root = Path(spec.origin).parents[1] if spec and spec.origin else None
    folder = root / "nvidia_pytriton.libs" if root else Path()
    for name, pattern in LIBRARIES.items():
        candidates = sorted(folder.glob(pattern))
        link = libraries / name
        if not candidates:
            raise AnalyzerError(
                f"perf_analyzer needs {name}, which nvidia-pytriton contains; run `make setup`"
            )
        if not link.is_symlink() or os.readlink(link) != str(candidates[0]):
            link.unlink(missing_ok=True)
            link.symlink_to(candidates[0])


def _fetch() -> Path:
    """Download the wheel with pip."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
        str(FOLDER),
        f"tritonclient=={VERSION}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, start_new_session=True)
    if done.returncode or not (FOLDER / WHEEL).is_file():
        raise AnalyzerError(
            "perf_analyzer is not installed, and pip cannot download "
            f"tritonclient {VERSION}, whose wheel contains it"
        )
    return FOLDER / WHEEL


def _unpack(wheel: Path, binary: Path) -> None:
    binary.parent.mkdir(parents=True, exist_ok=True)
    partial = binary.with_suffix(".part")
    with zipfile.ZipFile(wheel) as archive:
        partial.write_bytes(archive.read(f"tritonclient-{VERSION}.data/data/bin/perf_analyzer"))
    partial.chmod(0o755)
    partial.replace(binary)  # atomic: an interrupted run leaves no partial binary
    wheel.unlink()
