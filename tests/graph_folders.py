"""Folders of models with graphs of a size and configurations of a runner, which nothing loads."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from retouch.artifacts.manifest import Manifest
from retouch.launcher.write_profiles import ON_CPU


def add(
    repository: Path,
    model: str,
    graphs: Mapping[str, int],
    arithmetic: str,
    plans: Mapping[str, Any] | None = None,
) -> None:
    """A model with graphs of so many bytes, for the CPU."""
    (repository / model / "configs").mkdir(parents=True)
    (repository / model / "config.pbtxt").write_text(configured("onnx", ON_CPU))
    _write(repository / model / "1", graphs, arithmetic, plans)


def add_typed(
    repository: Path,
    model: str,
    precision: str,
    graphs: Mapping[str, int],
    arithmetic: str,
    plans: Mapping[str, Any] | None = None,
) -> None:
    """Graphs of a precision beside those of a model."""
    _write(repository / model / "1" / precision, graphs, arithmetic, plans)


def configured(runner: str, group: str) -> str:
    """A configuration's lines on the runner and the device."""
    parameter = f'parameters {{ key: "runner"  value {{ string_value: "{runner}" }} }}   # why'
    return f"{group}\n{parameter}\n"


def _write(
    folder: Path, graphs: Mapping[str, int], arithmetic: str, plans: Mapping[str, Any] | None
) -> None:
    folder.mkdir(parents=True)
    for graph, size in graphs.items():
        for name, length in ((f"{graph}.onnx", 0), (f"{graph}.onnx.data", size)):
            (folder / name).touch()
            os.truncate(folder / name, length)  # a file with a hole: no blocks of the disk
    files = {path.name: "" for path in folder.iterdir()}
    settings = {"passes": "retouch.networks.flux2_passes"}
    manifest = Manifest(
        "instructx",
        "",
        "bf16",
        arithmetic,
        20,
        files=files,
        plans=dict(plans or {}),
        settings=settings,
    )
    (folder / "manifest.json").write_text(json.dumps(asdict(manifest)))
