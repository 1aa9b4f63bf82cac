"""Fetch NVIDIA's Python bindings into .runtime/bindings, where the tests hold our TensorRT code
against them.

The wheels hold the bindings alone. They want TensorRT's libraries when they are imported, and take
stubs of ten empty functions. `make bindings` runs this file; the tests do so where they find
nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parents[1] / ".runtime" / "bindings"
VERSIONS = ("10.16.1.11", "11.4.0.106")  # of TensorRT
CUDA = ("cuda-bindings==13.5.0", "cuda-pathfinder==1.9.0")
LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")
TIMEOUT = 300  # seconds for one package


class Unavailable(RuntimeError):
    """The bindings cannot be had here: one sentence."""


def fetch(version: str) -> list[Path]:
    """Folders for PYTHONPATH, with the bindings of one TensorRT and of CUDA; Unavailable."""
    return [
        _made(f"tensorrt-{version}", lambda folder: _tensorrt(version, folder)),
        _made("cuda", lambda folder: _install(folder, *CUDA)),
    ]


def _made(name: str, make) -> Path:
    """The folder `name`, made by `make` if it is not there, whole or not at all."""
    folder = FOLDER / name
    partial = FOLDER / f"{name}.{os.getpid()}.partial"
    if not folder.is_dir():
        try:
            make(partial)
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def _tensorrt(version: str, folder: Path) -> None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        raise Unavailable("there is no C compiler for the stub libraries")
    _install(folder, f"tensorrt-cu13-bindings=={version}")
    for name in LIBRARIES:  # the bindings look for them beside themselves
        library = f"lib{name}.so.{version.split('.')[0]}"
        subprocess.run(
            [
                compiler,
                "-shared",
                "-fPIC",
                f"-Wl,-soname,{library}",
                "-o",
                folder / "tensorrt_bindings" / library,
                HERE / "stub.c",
            ],
            check=True,
        )


def _install(folder: Path, *packages: str) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--target",
        str(folder),
        *packages,
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"pip took more than {TIMEOUT} seconds for {packages[0]}") from None
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Unavailable(f"pip cannot fetch {packages[0]}: {reason}")


if __name__ == "__main__":
    try:
        for release in VERSIONS:
            fetch(release)
            print(f"the bindings of TensorRT {release} are in place")
    except Unavailable as failure:
        sys.exit(f"error: {failure}")
