"""Where the models of a profile run: the runner, the kind of device and the folders of graphs of
each, by the text of their configurations."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from retouch.api.lanes import LANES
from retouch.artifacts.typed_folder import typed_folder
from retouch.backends.auto import part_of
from retouch.backends.offload import OFFLOADING, is_offloaded
from retouch.launcher.start_failure import ServerError
from retouch.serving.part_precision import PartPrecision, lanes_with_denoiser

BY_LANE = ("vl_parser", "connector")  # a precision for every lane; the others have one for all
CPU_RUNNERS = ("", "onnx", "onnx-float32")
ON_GPU = re.compile(r"\bKIND_GPU\b")
PARAMETER = re.compile(
    r'^\s*parameters\s*\{\s*key:\s*"(\w+)"\s*value\s*\{\s*string_value:\s*"([^"]*)"', re.MULTILINE
)


@dataclass(frozen=True)
class Placement:
    """One folder of a model's graphs, and its runner, empty for a model that runs no graph.
    `is_on_gpu`: Triton places it on a GPU."""

    model: str
    runner: str
    is_on_gpu: bool
    folder: Path

    @property
    def may_use_gpu(self) -> bool:
        return self.is_on_gpu or self.runner not in CPU_RUNNERS

    @property
    def name(self) -> str:
        """The model, and the precision of typed graphs: vl_parser or vl_parser/fp8."""
        return part_of(self.folder)


def config_of(repository: Path, model: str, profile: str) -> Path:
    """The configuration by which Triton loads a model."""
    path = repository / model / "configs" / f"{profile}.pbtxt"
    return path if profile and path.is_file() else repository / model / "config.pbtxt"


def placements(repository: Path, profile: str, models: list[str]) -> list[Placement]:
    """The placements of these models by a profile, one for every folder of graphs that a model
    serves beside their lanes; ServerError for a precision that does not exist, or a model that
    cannot be offloaded."""
    return [place for model in models for place in _of_model(repository, profile, model, models)]


def _of_model(repository: Path, profile: str, model: str, models: list[str]) -> list[Placement]:
    text = config_of(repository, model, profile).read_text()
    parameters = dict(PARAMETER.findall(text))
    is_on_gpu = bool(ON_GPU.search(text))
    runner = parameters.get("runner", "")
    try:
        runner = OFFLOADING if is_offloaded(model, runner) else runner
        folders = _folders(repository, model, parameters.get("precision", ""), models)
    except ValueError as failure:
        raise ServerError(f"{model}: {failure}") from None
    return [Placement(model, runner, is_on_gpu, folder) for folder in folders]


def _folders(repository: Path, model: str, text: str, models: list[str]) -> list[Path]:
    """The folders of graphs that a model opens by its parameter `precision` beside the lanes of
    `models`; ValueError."""
    folder = repository / model / "1"
    precision = PartPrecision.parse(text, folder)
    lanes = lanes_with_denoiser(precision, models) if model in BY_LANE else LANES[:1]
    return [typed_folder(folder, name) for name in dict.fromkeys(map(precision.of, lanes))]
