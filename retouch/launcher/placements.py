"""Where the models of a profile run: the runner, the kind of device and the artifacts of each, by
the text of their configurations."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from retouch.backends.offload import OFFLOADING, is_offloaded
from retouch.launcher.start_failure import ServerError

CPU_RUNNERS = ("", "onnx", "onnx-float32")
ON_GPU = re.compile(r"\bKIND_GPU\b")
PARAMETER = re.compile(
    r'^\s*parameters\s*\{\s*key:\s*"(\w+)"\s*value\s*\{\s*string_value:\s*"([^"]*)"', re.MULTILINE
)


@dataclass(frozen=True)
class Placement:
    """A model's runner, empty for one that runs no graph. `is_on_gpu`: Triton places it on a GPU.
    `folder` holds its artifacts."""

    model: str
    runner: str
    is_on_gpu: bool
    folder: Path

    @property
    def may_use_gpu(self) -> bool:
        return self.is_on_gpu or self.runner not in CPU_RUNNERS


def config_of(repository: Path, model: str, profile: str) -> Path:
    """The configuration by which Triton loads a model."""
    path = repository / model / "configs" / f"{profile}.pbtxt"
    return path if profile and path.is_file() else repository / model / "config.pbtxt"


def placements(repository: Path, profile: str, models: list[str]) -> list[Placement]:
    """The placements of these models by a profile; ServerError when one that is to be offloaded
    cannot be."""
    return [_placement(repository, profile, model) for model in models]


def _placement(repository: Path, profile: str, model: str) -> Placement:
    text = config_of(repository, model, profile).read_text()
    parameters = dict(PARAMETER.findall(text))
    runner = parameters.get("runner", "")
    try:
        runner = OFFLOADING if is_offloaded(model, runner) else runner
    except ValueError as failure:
        raise ServerError(str(failure)) from None
    return Placement(model, runner, bool(ON_GPU.search(text)), repository / model / "1")
