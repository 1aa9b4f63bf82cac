"""Checks of a plan: its outputs are compared with ONNX Runtime's, and its time with the wider
lane's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Protocol

import numpy as np

from retouch.artifacts.manifest import ArtifactError

# Smallest allowed cosine of an output to that of the lowered graph on ONNX Runtime's CPU. These are
# estimates and not yet tuned on hardware
SIMILAR = {"bf16": 0.999, "fp8": 0.995, "fp4": 0.98}
WARM = 3  # runs before the measurement
ROUNDS = 20  # measured runs of each lane, in turns

Shape = tuple[int, ...]
Tensors = Mapping[str, np.ndarray]


class Timed(Protocol):
    """The calls of an executor that `compare` needs."""

    def run(self, inputs: Tensors) -> Mapping[str, object]: ...

    def seconds(self, inputs: Tensors) -> float: ...


def example(shapes: Mapping[str, Shape], seed: int = 0) -> dict[str, np.ndarray]:
    """Random inputs of these shapes: positions are small integers, times lie in (0, 1], the rest is
    normal."""
    rng = np.random.default_rng(seed)

    def numbers(name: str, shape: Shape) -> np.ndarray:
        if name.endswith("ids"):
            return rng.integers(0, 16, shape).astype(np.float32)
        if name == "timestep":
            return rng.uniform(0.1, 1, shape).astype(np.float32)
        return rng.standard_normal(shape).astype(np.float32)

    return {name: numbers(name, shape) for name, shape in shapes.items()}


def similarity(
    plan: Callable[[Tensors], Tensors],
    truth: Callable[[Tensors], Tensors],
    trials: Sequence[Tensors],
    precision: str,
    graph: str,
) -> dict[str, float]:
    """The smallest cosine of each output over `trials`; ArtifactError when one is below the lane's
    limit."""
    least: dict[str, float] = {}
    for inputs in trials:
        expected = truth(inputs)
        for name, values in plan(inputs).items():
            cosine = _cosine(values, expected[name])
            least[name] = float(np.minimum(least.get(name, 1.0), cosine))  # keeps a NaN
    for name, value in least.items():
        if not value >= SIMILAR[precision]:  # also False for a NaN
            raise ArtifactError(
                f"the plan of {graph} computes another {name} than its graph: cosine {value:.4f}, "
                f"the {precision} lane allows {SIMILAR[precision]}; "
                "use the next wider lane on this machine"
            )
    return least


def compare(lanes: Mapping[str, Timed], inputs: Tensors) -> dict[str, float]:
    """Median milliseconds of a run, by lane. The lanes run in turns, so that changes of the GPU's
    clock affect all alike."""
    times: dict[str, list[float]] = {lane: [] for lane in lanes}
    for executor in lanes.values():
        for _ in range(WARM):
            executor.run(inputs)
    for _ in range(ROUNDS):
        for lane, executor in lanes.items():
            times[lane].append(executor.seconds(inputs))
    return {lane: 1000 * median(taken) for lane, taken in times.items()}


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    a = a.astype(np.float64).ravel()
    b = b.astype(np.float64).ravel()
    return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-30))
