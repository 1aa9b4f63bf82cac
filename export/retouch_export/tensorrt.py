"""TensorRT plans of a lane, or of a part in a precision: they are built from its ONNX graphs,
inspected, and compared with the graphs and the wider lane.

TensorRT 10.16 builds bf16 and fp8, TensorRT 11 all three lanes. tests/bindings checks all used
names against the bindings of both versions, and runs the flow on an emulated engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from retouch.artifacts.manifest import ArtifactError, read
from retouch.artifacts.tensorrt_plan import Machine, PlanInfo, described, labelled
from retouch.backends.tensorrt.backend import TensorRTBackend
from retouch.backends.tensorrt.cuda import widened
from retouch.backends.tensorrt.engine import Engine, machine  # ArtifactError without TensorRT
from retouch.backends.tensorrt.executor import Executor
from retouch.families.base import Family
from retouch.families.registry import family_of
from retouch_export.plan_layers import (
    GraphProducts,
    check,
    check_size,
    graph_products,
    plan_products,
)
from retouch_export.plan_trial import Tensors, compare, example, similarity
from retouch_export.tensorrt_builder import Options, Say, build, lowered
from retouch_export.tensorrt_profiles import Shapes, Target, profiles, shapes

__all__ = ["NEEDS", "TIMED", "WIDER", "Options", "build_plans", "lowered", "refuse"]

WIDER = {"fp8": "bf16", "fp4": "fp8"}  # the lane that a lane must be faster than
STEP = "step"
TIMED = (STEP, "language", "text", "t5", "model")  # the graph with most narrow products of a stage


@dataclass(frozen=True)
class Needs:
    """The oldest TensorRT and compute capability of a lane, and the lane to export `instead` on
    older ones."""

    tensorrt: tuple[int, int]
    capability: tuple[int, int]
    hardware: str
    instead: str = ""


NEEDS = {
    "bf16": Needs((10, 16), (8, 0), "an Ampere GPU or newer"),
    "fp8": Needs((10, 16), (8, 9), "an Ada or Hopper GPU or newer", "bf16"),
    # TensorRT 10 runs such graphs in wide formats or not at all
    "fp4": Needs((11, 0), (10, 0), "a Blackwell GPU or newer", "fp8"),
}


def build_plans(
    folder: Path,
    staging: Path,
    precision: str,
    options: Options | None = None,
    say: Say = lambda message, share: None,
) -> dict[str, PlanInfo]:
    """Write `X.plan` to `staging` for every `X.onnx` in `folder` (the two may be the same); returns
    the manifest entries by graph.

    A plan is written after three checks: its kernels are as narrow as its graph, its outputs are
    those of the graph, and a narrow lane's largest graph is faster than the wider's. ArtifactError
    when this machine cannot run the lane or a check fails; ValueError when `profiles` do not fit
    the graph."""
    options = options or Options()
    target = machine()
    refuse(precision, target)
    paths = {path.stem: path for path in sorted(folder.glob("*.onnx"))}
    timed = next((graph for graph in TIMED if graph in paths), "")
    rival = _rival(paths[timed], precision, options, target) if timed else None
    return {
        graph: _plan(
            path, precision, options, rival if graph == timed else None, target, say, staging
        )
        for graph, path in paths.items()
    }


def refuse(precision: str, target: Machine) -> None:
    """ArtifactError when a lane cannot be built for this machine, with the remedy."""
    needs = NEEDS[precision]
    instead = f", or export the lane {needs.instead}" if needs.instead else ""
    if target.release < needs.tensorrt:
        raise ArtifactError(
            f"the lane {precision} needs TensorRT {needs.tensorrt[0]}.{needs.tensorrt[1]} or newer "
            f"and this is {target.tensorrt}; install a newer TensorRT{instead}"
        )
    if target.capability < needs.capability:
        raise ArtifactError(
            f"the lane {precision} needs {needs.hardware} (compute capability "
            f"{needs.capability[0]}.{needs.capability[1]}) and this is {described(target)}; "
            f"use another machine{instead}"
        )


def _rival(path: Path, precision: str, options: Options, target: Machine) -> Path | None:
    """The folder of the wider lane, or None when there is none to compare with, as for a graph
    that is no narrower there.

    ArtifactError, before a build of hours, when a narrow lane cannot be compared and `force` is not
    set."""
    if precision not in WIDER:
        return None
    wider = WIDER[precision]
    try:
        if options.wider is None:
            raise ArtifactError(f"there is no {wider} lane")
        if options.part and _products(path) == _products(options.wider / path.name):
            return None
        PlanInfo.of(read(options.wider), path.stem, options.part).check(target, path.stem)
        return options.wider
    except ArtifactError as failure:
        if options.force:
            return None
        raise ArtifactError(
            f"{_lane(precision, options.part)} must be faster than {wider}, which cannot be "
            f"measured: {failure}; export {wider} with --tensorrt first, or use --force"
        ) from None


def _products(path: Path) -> GraphProducts:
    return graph_products(onnx.load(path, load_external_data=False))


def _lane(precision: str, part: str) -> str:
    return f"{part} in {precision}" if part else f"the lane {precision}"


def _plan(
    path: Path,
    precision: str,
    options: Options,
    rival: Path | None,
    target: Machine,
    say: Say,
    staging: Path,
) -> PlanInfo:
    """Build, check and write the plan of one graph."""
    name = labelled(path.stem, options.part)
    model = onnx.load(path, load_external_data=False)
    graph = graph_products(model)
    targets = _targets(path, model, options)
    table = [one.limits for one in targets]
    plan = build(path, table, options, target, say)
    size = memoryview(plan).nbytes
    engine = Engine(plan, f"{path.stem}.plan")
    if options.strip:
        engine.refit(path)
    say(f"{name}: inspecting the plan", None)
    layers = plan_products(engine.inspect())
    weights = engine.weight_bytes
    check(graph, layers, name)
    if not options.force:
        check_size(graph, weights, size, name)
    trials = [_rounded(one.trial(), engine) for one in targets]
    with Executor(engine) as executor:
        say(f"{name}: comparing with ONNX Runtime", None)
        similar = similarity(_on_host(executor), options.truth(path), trials, precision, name)
        times = (
            _race(executor, rival, path.stem, trials[0], precision, options, say) if rival else {}
        )
    (staging / f"{path.stem}.plan").write_bytes(plan)
    return PlanInfo(
        target.gpu,
        target.capability,
        target.tensorrt,
        precision,
        [
            {
                input_name: [list(shape) for shape in limits]
                for input_name, limits in profile.items()
            }
            for profile in table
        ],
        size,
        weights,
        dict(layers[0]),
        options.strip,
        similar,
        times,
        options.part,
    )


def _family(folder: Path) -> Family:
    manifest = read(folder)
    return family_of(manifest.family, manifest.settings)


def _on_host(executor: Executor) -> Callable[[Tensors], Tensors]:
    """The executor's run, with outputs as numpy arrays."""
    return lambda inputs: {name: np.asarray(value) for name, value in executor.run(inputs).items()}


def _rounded(inputs: Tensors, engine: Engine) -> dict[str, np.ndarray]:
    """Round inputs to the engine's input types, so that plan and graph compute on the same numbers.

    In a narrow lane a small difference can change a number by a whole quantisation step."""
    return {name: widened(values.astype(engine.inputs[name])) for name, values in inputs.items()}


def _targets(path: Path, model: onnx.ModelProto, options: Options) -> list[Target]:
    """The profiles of a graph's plan. Those that are equal for this graph count once."""
    if options.targets:
        targets = options.targets(path.stem, model)
    else:
        table = options.profiles or profiles(model, _family(path.parent))
        targets = [_of_denoiser(shapes(model, profile)) for profile in table]
    limits = [target.limits for target in targets]
    return [target for index, target in enumerate(targets) if target.limits not in limits[:index]]


def _of_denoiser(limits: dict[str, Shapes]) -> Target:
    optimal = {name: shape for name, (_, shape, _) in limits.items()}
    return Target(limits, lambda: example(optimal))


def _race(
    executor: Executor,
    rival: Path,
    graph: str,
    inputs: dict[str, np.ndarray],
    precision: str,
    options: Options,
    say: Say,
) -> dict[str, float]:
    """Milliseconds of a run of the graph in this lane and the wider one, measured now;
    ArtifactError when it is not faster."""
    wider = WIDER[precision]
    name = labelled(graph, options.part)
    say(f"{name}: measuring {precision} and {wider} in turns", None)
    with TensorRTBackend(rival, graph) as runner:
        times = compare({precision: executor, wider: runner.executor}, inputs)
    if times[precision] >= times[wider] and not options.force:
        run = "step" if graph == STEP else f"run of {graph}"
        raise ArtifactError(
            f"{_lane(precision, options.part)} takes {times[precision]:.2f} ms a {run} and {wider} "
            f"{times[wider]:.2f} ms on this machine: it would cost quality and bring nothing; "
            f"serve {wider}, or register it with --force"
        )
    return times
