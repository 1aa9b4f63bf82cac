"""How close a lane's network stays to bf16, on the inputs of bf16's own steps: velocities by step,
and final latents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from retouch.api.request import EditRequest
from retouch.backends.onnx import OnnxBackend
from retouch.engine.denoiser import Progress
from retouch.imaging import images
from retouch.offline.plain_loop import PlainLoop
from retouch_export.formats import from_nvfp4
from training.render import render
from training.scenes import Pair

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Edit:
    """What bf16 computed for one scene: `arguments` of the loop's `denoise`, inputs of the graphs,
    and their results."""

    arguments: tuple
    reference: Arrays
    steps: list[Arrays]
    velocities: list[np.ndarray]
    latents: np.ndarray


@dataclass(frozen=True)
class Fidelity:
    """Relative errors (of squared sums over all scenes) of the step graph's NVFP4 weights, of the
    velocity at each step on bf16's own tokens, and of the latents at the end of edits of the lane's
    own."""

    weights: float
    velocity: tuple[float, ...]
    latents: float


def record(repository: Path, scenes: Sequence[Pair]) -> list[Edit]:
    """Scene i is edited with seed i."""
    loop = _Recorded(repository)
    return [
        loop.record(
            EditRequest(images.encode(render(pair.source).pixels), pair.instruction, seed=seed)
        )
        for seed, pair in enumerate(scenes)
    ]


def fidelity(repository: Path, lane: str, edits: Sequence[Edit]) -> Fidelity:
    folder = repository / f"denoiser_{lane}" / "1"
    loop = PlainLoop(repository, lane)
    reference = OnnxBackend(folder, "reference")
    step = OnnxBackend(folder, "step")
    velocities = []
    latents = []
    for edit in edits:
        prefix = reference.run(**edit.reference)
        velocities.append([step.run(**inputs | prefix)["velocity"] for inputs in edit.steps])
        *_, last = loop.denoise(*edit.arguments)
        latents.append(last.latents)
    exact_velocities = zip(*(edit.velocities for edit in edits))
    return Fidelity(
        _weights(repository, folder),
        tuple(relative(ours, theirs) for ours, theirs in zip(zip(*velocities), exact_velocities)),
        relative(latents, [edit.latents for edit in edits]),
    )


def relative(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> float:
    error = sum(float(np.square(a - b, dtype=np.float64).sum()) for a, b in zip(ours, theirs))
    return (error / sum(float(np.square(b, dtype=np.float64).sum()) for b in theirs)) ** 0.5


def _weights(repository: Path, folder: Path) -> float:
    exact, rounded = (
        _numbers(ir.load(lane_folder / "step.onnx"))
        for lane_folder in (repository / "denoiser_bf16" / "1", folder)
    )
    names = [name.removesuffix("/fp4") for name in rounded if name.endswith("/fp4")]
    return relative(
        [
            from_nvfp4(*(rounded[f"{name}/{part}"]() for part in ("fp4", "steps8", "scale")))
            for name in names
        ],
        [exact[name]().astype(np.float32) for name in names],
    )


def _numbers(model: ir.Model) -> dict:
    return {name: value.const_value.numpy for name, value in model.graph.initializers.items()}


class _Recorder(OnnxBackend):
    def __init__(self, *arguments: object, **keywords: object):
        super().__init__(*arguments, **keywords)
        self.calls: list[tuple[Arrays, Arrays]] = []

    def run(self, **inputs: np.ndarray) -> Arrays:
        outputs = super().run(**inputs)
        self.calls.append((inputs, outputs))
        return outputs


class _Recorded(PlainLoop):
    def __init__(self, repository: Path):
        self._graphs: dict[str, _Recorder] = {}
        super().__init__(repository, backend=self._open)

    def record(self, request: EditRequest) -> Edit:
        for graph in self._graphs.values():
            graph.calls.clear()
        self.edit(request)
        [(reference, _)] = self._graphs["reference"].calls
        steps = self._graphs["step"].calls
        return Edit(
            self._arguments,
            reference,
            [inputs for inputs, _ in steps],
            [outputs["velocity"] for _, outputs in steps],
            self._last.latents,
        )

    def denoise(self, *arguments: object) -> Iterator[Progress]:
        self._arguments = arguments
        for self._last in super().denoise(*arguments):
            yield self._last

    def _open(self, folder: Path, graph: str, keep: tuple[str, ...] = ()) -> _Recorder:
        self._graphs[graph] = _Recorder(folder, graph, keep)
        return self._graphs[graph]
