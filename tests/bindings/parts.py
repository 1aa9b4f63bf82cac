"""The shipped checkpoint's models with typed graphs of every part, once for all tests and versions
of TensorRT."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import onnx_ir as ir

from retouch.artifacts.manifest import read
from retouch.launcher.server import REPOSITORY, ROOT
from retouch_export.checkpoint import Checkpoint
from retouch_export.exporter import Exporter
from retouch_export.linear import linears
from retouch_export.parts import TypedStage
from retouch_export.ranges import Range

FOLDER = "RETOUCH_PARTS"  # environment variable for the processes of tests/bindings/held
FAMILY = "instructx"
STAGES = tuple(
    TypedStage(name, FAMILY) for name in ("vl_parser", "connector", "vae_encoder", "vae_decoder")
)
NARROW = STAGES[:2]


def exporter_of(repository: Path) -> Exporter:
    """An exporter into the repository, of the checkpoint that it is exported from."""
    sha256 = read(repository / "vl_parser" / "1").checkpoint_sha256
    checkpoint = Checkpoint(ROOT / "checkpoints" / "photo")
    return Exporter(checkpoint, sha256, repository, say=lambda label: None)


def make(folder: Path) -> None:
    """Write a copy of the exported repository, with parts in bf16 and, with any ranges, in fp8."""
    ignored = shutil.ignore_patterns("__pycache__", "configs", "denoiser_fp?")
    shutil.copytree(REPOSITORY, folder, symlinks=True, ignore=ignored)
    exporter = exporter_of(folder)
    for stage in STAGES:
        exporter.wide(stage)
    for stage in NARROW:
        graphs = stage.folder(folder, "bf16").glob("*.onnx")
        ranges = {
            path.stem: {linear.module: Range(8.0) for linear in linears(ir.load(path))}
            for path in graphs
        }
        exporter.narrow(stage, "fp8", ranges)


def copy(folder: Path) -> Path:
    """A copy of it in `folder`."""
    return shutil.copytree(os.environ[FOLDER], folder, symlinks=True)
