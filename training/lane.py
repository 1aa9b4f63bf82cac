"""Edits of scenes by one lane of a model repository: images, judgements and seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retouch.api.lanes import LANES
from retouch.api.request import EditRequest
from retouch.api.response import EditAnswer
from retouch.artifacts.manifest import NAME, read
from retouch.engine.edit_state import Progress
from retouch.imaging import images
from retouch.offline.plain_loop import PlainLoop
from training.judge import Judgement, judge
from training.render import Drawing


@dataclass(frozen=True)
class Answer:
    """A lane's edit of one scene: uint8 [H, W, 3].

    `seconds` are those of the whole edit, from file to file; `step_seconds` those of its steps
    without the first."""

    pixels: np.ndarray
    judgement: Judgement
    seconds: float
    step_seconds: tuple[float, ...]


class Lane:
    """The stages of a repository with the denoiser of one lane.

    The name is that of the lane, or LANE+PRECISION with typed graphs of the other stages."""

    def __init__(self, repository: Path, name: str):
        """ArtifactError when the lane, or the other stages in the precision, is not exported."""
        self.name = name
        lane, _, precision = name.partition("+")
        self._loop = _TimedLoop(repository, lane, parts=precision)
        self.bytes = read(_folder(repository, lane)).weights

    def edit(
        self, source: Drawing, target: Drawing, instruction: str, seed: int, steps: int = 0
    ) -> Answer:
        """Edit one scene. `steps` 0 is the checkpoint's default."""
        request = EditRequest(images.encode(source.pixels), instruction, seed=seed, steps=steps)
        begin = time.perf_counter()
        encoded = self.run(request)
        seconds = time.perf_counter() - begin
        picture = images.decode(encoded)
        return Answer(
            picture, judge(source, target, picture), seconds, tuple(self._loop.step_seconds)
        )

    def run(self, request: EditRequest) -> bytes:
        """The encoded answer."""
        return self._loop.edit(request)

    def region(self, height: int, width: int) -> np.ndarray:
        """Where the last edit may have changed an answer of that size: bool [height, width]."""
        if self._loop.region is None:
            return np.zeros((height, width), bool)
        return images.mask_of_cells(*self._loop.region, height, width)


def exported(repository: Path) -> list[str]:
    """Names of the exported lanes in a repository, the widest first."""
    return [name for name in LANES if (_folder(repository, name) / NAME).is_file()]


def _folder(repository: Path, lane: str) -> Path:
    return Path(repository) / f"denoiser_{lane}" / "1"


class _TimedLoop(PlainLoop):
    """Measures the steps of the last edit without the first, which also prefills the reference.

    `region` are the cells bool [N] of the last edit and the size that they cover; None where the
    instruction asked for nothing, which takes no step."""

    step_seconds: list[float]
    region: tuple[np.ndarray, tuple[int, int]] | None

    def answer(self, request: EditRequest) -> EditAnswer:
        self.step_seconds = []
        self.region = None
        return super().answer(request)

    def denoise(self, *arguments: Any) -> Iterator[Progress]:
        pixels, _, cells, *_ = arguments
        self.region = cells, pixels.shape[:2]
        last = None
        for progress in super().denoise(*arguments):
            now = time.perf_counter()
            self.step_seconds += [] if last is None else [now - last]
            last = now
            yield progress
