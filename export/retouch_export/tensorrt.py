"""A lane's TensorRT plans from its ONNX graphs: built, looked into, compared with the graph and
with the wider lane.

TensorRT 10.16 builds bf16 and fp8, TensorRT 11 all three lanes. Every name used here is held
against the bindings of both versions by tests/bindings, where the flow runs on an emulated engine;
no plan was built by TensorRT itself yet."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from retouch.artifacts.manifest import ArtifactError, read
from retouch.artifacts.tensorrt_plan import Machine, PlanInfo, described
from retouch.backends.onnx import session
from retouch.backends.onnx_lowering import load
from retouch.backends.tensorrt.backend import TensorRTBackend
from retouch.backends.tensorrt.engine import (  # it says in one sentence if there is none
    LOG,
    Engine,
    machine,
    must,
    tensorrt,
)
from retouch.backends.tensorrt.executor import Executor
from retouch.families.base import Family
from retouch.families.registry import family_of
from retouch_export.plan_layers import asked, check, check_size, found
from retouch_export.plan_trial import Tensors, compare, example, similarity
from retouch_export.profiles import Profile, Shapes, profiles, shapes

WIDER = {"fp8": "bf16", "fp4": "fp8"}  # the lane that a lane must be faster than
TIMED = "step"  # the graph that takes an edit's time

Say = Callable[[str, float | None], None]  # words, and the share done where it is known
Truth = Callable[
    [Path], Callable[[Tensors], Tensors]
]  # a graph's file to what computes its outputs


@dataclass(frozen=True)
class Needs:
    """The oldest TensorRT and compute capability that a lane runs on, and the lane to take below
    them."""

    tensorrt: tuple[int, int]
    capability: tuple[int, int]
    hardware: str
    instead: str = ""


NEEDS = {
    "bf16": Needs((10, 16), (8, 0), "an Ampere GPU or newer"),
    "fp8": Needs((10, 16), (8, 9), "an Ada or Hopper GPU or newer", "bf16"),
    # TensorRT 10 takes such graphs, but runs them wide or not at all
    "fp4": Needs((11, 0), (10, 0), "a Blackwell GPU or newer", "fp8"),
}


def lowered(path: Path) -> Callable[[Tensors], Tensors]:
    """The graph on ONNX Runtime's CPU, in the numerics of its lane."""
    running = session(load(path).SerializeToString())
    names = [output.name for output in running.get_outputs()]
    return lambda inputs: dict(zip(names, running.run(names, dict(inputs))))


@dataclass(frozen=True)
class Options:
    """How plans are built.

    `profiles` are the family's when none is given. `level` is TensorRT's optimisation level, 0 to
    5; `workspace` bytes bound what a kernel may use besides, 0 does not. `strip` leaves the weights
    out of the plan: the ONNX file beside it gives them when it is loaded. `wider` is the version
    folder of the next wider lane, with its plans. With `force` neither a plan's time nor its size
    keeps it from being registered. TensorRT's timings stay in `cache`, so that the next build is
    faster. `truth` computes what a plan must compute."""

    profiles: Sequence[Profile] = ()
    level: int = 3
    workspace: int = 0
    strip: bool = False
    force: bool = False
    wider: Path | None = None
    cache: Path = Path(".runtime")
    truth: Truth = lowered


def build_plans(
    folder: Path,
    staging: Path,
    precision: str,
    options: Options = Options(),
    say: Say = lambda words, done: None,
) -> dict[str, PlanInfo]:
    """Write `X.plan` to `staging` for each `X.onnx` in `folder`, which may be the same; what the
    manifest says of them.

    A plan is written once it has passed: its kernels are as narrow as its graph, its outputs those
    of the graph, and a narrow lane's `step` is faster than the wider lane's. ArtifactError in one
    sentence when this machine cannot run the lane or a plan does not pass; ValueError when
    `profiles` do not fit the graph."""
    here = machine()
    refuse(precision, here)
    paths = sorted(folder.glob("*.onnx"))
    rival = _rival(precision, options, here) if TIMED in (path.stem for path in paths) else None
    return {path.stem: _plan(path, staging, precision, options, rival, here, say) for path in paths}


def refuse(precision: str, here: Machine) -> None:
    """ArtifactError when a lane cannot be built on this machine, with what can be done."""
    needs = NEEDS[precision]
    instead = f", or export the lane {needs.instead}" if needs.instead else ""
    if here.release < needs.tensorrt:
        raise ArtifactError(
            f"the lane {precision} needs TensorRT {needs.tensorrt[0]}.{needs.tensorrt[1]} or newer and "
            f"this is {here.tensorrt}; install a newer TensorRT{instead}"
        )
    if here.capability < needs.capability:
        raise ArtifactError(
            f"the lane {precision} needs {needs.hardware} (compute capability {needs.capability[0]}."
            f"{needs.capability[1]}) and this is {described(here)}; use another machine{instead}"
        )


def _rival(precision: str, options: Options, here: Machine) -> Path | None:
    """The wider lane's folder, None where there is nothing to compare with.

    ArtifactError, before the hours of a build, when a narrow lane could not be compared and `force`
    is not set."""
    if precision not in WIDER:
        return None
    wider = WIDER[precision]
    try:
        if options.wider is None:
            raise ArtifactError(f"there is no {wider} lane")
        PlanInfo.of(read(options.wider), TIMED).check(here, TIMED)
        return options.wider
    except ArtifactError as failure:
        if options.force:
            return None
        raise ArtifactError(
            f"the lane {precision} must be faster than {wider}, which cannot be measured: {failure}; "
            f"export {wider} with --tensorrt first, or use --force"
        ) from None


def _plan(
    path: Path,
    staging: Path,
    precision: str,
    options: Options,
    rival: Path | None,
    here: Machine,
    say: Say,
) -> PlanInfo:
    """One graph's plan, built, tried and written."""
    name = path.stem
    model = onnx.load(path, load_external_data=False)
    graph = asked(model)
    table = _table(model, options.profiles or profiles(model, _family(path.parent)))
    plan = build(path, table, options, here, say)
    size = memoryview(plan).nbytes
    engine = Engine(plan, f"{name}.plan")
    if options.strip:
        engine.refit(path)
    say(f"{name}: looking into the plan", None)
    layers = found(engine.inspect())
    weights = engine.weight_bytes
    check(graph, layers, name)
    if not options.force:
        check_size(graph, weights, size, name)
    trials = [
        _rounded(example({given: favoured for given, (_, favoured, _) in profile.items()}), engine)
        for profile in table
    ]
    with Executor(engine) as executor:
        say(f"{name}: comparing with ONNX Runtime", None)
        similar = similarity(executor.run, options.truth(path), trials, precision, name)
        times = (
            _race(executor, rival, trials[0], precision, options.force, say)
            if rival and name == TIMED
            else {}
        )
    (staging / f"{name}.plan").write_bytes(plan)
    return PlanInfo(
        here.gpu,
        here.capability,
        here.tensorrt,
        precision,
        [
            {given: [list(shape) for shape in limits] for given, limits in profile.items()}
            for profile in table
        ],
        size,
        weights,
        dict(layers[0]),
        options.strip,
        similar,
        times,
    )


def _family(folder: Path) -> Family:
    manifest = read(folder)
    return family_of(manifest.family, manifest.settings)


def _rounded(inputs: dict[str, np.ndarray], engine: Engine) -> dict[str, np.ndarray]:
    """float32 numbers that the engine's input types hold: what is rounded on the way to the plan
    alone is no fault of its, and in a narrow lane many a number then falls on the other side of a
    step."""
    return {
        name: values.astype(engine.inputs[name]).astype(np.float32)
        for name, values in inputs.items()
    }


def build(
    path: Path, table: list[dict[str, Shapes]], options: Options, here: Machine, say: Say
) -> bytes:
    """The serialised plan of an ONNX file; ArtifactError with TensorRT's reason, KeyboardInterrupt
    when stopped."""
    builder = tensorrt.Builder(LOG)
    # TensorRT 11 knows no other networks and ignores the flag. Its number differs between the
    # versions
    network = builder.create_network(
        1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    )
    parser = tensorrt.OnnxParser(network, LOG)
    if not parser.parse_from_file(str(path)):
        reasons = "; ".join(parser.get_error(i).desc() for i in range(parser.num_errors))
        raise ArtifactError(f"TensorRT {here.tensorrt} does not understand {path.name}: {reasons}")
    config = _config(builder, table, options)
    config.progress_monitor = monitor = Monitor(path.stem, say)
    cache = options.cache / f"{re.sub('[^a-z0-9]+', '-', here.gpu.lower())}-{here.tensorrt}.timing"
    _load_timings(config, cache)
    plan = builder.build_serialized_network(network, config)
    if monitor.stopped:
        raise KeyboardInterrupt
    if plan is None:
        raise ArtifactError(f"TensorRT {here.tensorrt} cannot build {path.name}: {LOG.last}")
    _save_timings(config, cache)
    return plan


def _config(
    builder: tensorrt.Builder, table: list[dict[str, Shapes]], options: Options
) -> tensorrt.IBuilderConfig:
    config = builder.create_builder_config()
    config.builder_optimization_level = options.level
    config.profiling_verbosity = (
        tensorrt.ProfilingVerbosity.DETAILED
    )  # the inspector tells layers' types only then
    if options.workspace:
        config.set_memory_pool_limit(tensorrt.MemoryPoolType.WORKSPACE, options.workspace)
    if options.strip:
        config.set_flag(tensorrt.BuilderFlag.STRIP_PLAN)
        config.set_flag(tensorrt.BuilderFlag.REFIT_IDENTICAL)
    for limits in table:
        profile = builder.create_optimization_profile()
        for name, (low, favoured, high) in limits.items():
            profile.set_shape(name, low, favoured, high)
        config.add_optimization_profile(profile)
    return config


def _table(model: onnx.ModelProto, profiles: Sequence[Profile]) -> list[dict[str, Shapes]]:
    """Each input's limits by profile; profiles that are the same for this graph count once."""
    table = [shapes(model, profile) for profile in profiles]
    return [limits for place, limits in enumerate(table) if limits not in table[:place]]


def _load_timings(config: tensorrt.IBuilderConfig, path: Path) -> None:
    """Start with earlier builds' timings, or with none where there are none or TensorRT does not
    take them."""
    earlier = path.read_bytes() if path.is_file() else b""
    if not config.set_timing_cache(config.create_timing_cache(earlier), False):
        must(
            config.set_timing_cache(config.create_timing_cache(b""), False),
            "take an empty timing cache",
        )


def _save_timings(config: tensorrt.IBuilderConfig, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(config.get_timing_cache().serialize())
    os.replace(partial, path)


def _race(
    executor: Executor,
    rival: Path,
    inputs: dict[str, np.ndarray],
    precision: str,
    force: bool,
    say: Say,
) -> dict[str, float]:
    """Milliseconds of a step in this lane and the wider one, both measured now; ArtifactError when
    it is no faster."""
    wider = WIDER[precision]
    say(f"{TIMED}: measuring {precision} and {wider} in turns", None)
    with TensorRTBackend(rival, TIMED) as runner:
        times = compare({precision: executor, wider: runner.executor}, inputs)
    if times[precision] >= times[wider] and not force:
        raise ArtifactError(
            f"the lane {precision} takes {times[precision]:.2f} ms a step and {wider} {times[wider]:.2f} ms on this "
            f"machine: it would cost quality and bring nothing; serve {wider}, or register it with --force"
        )
    return times


class Monitor(tensorrt.IProgressMonitor):
    """Tells how far the outermost phase of a build is; Ctrl-C stops the build at the next step."""

    def __init__(self, name: str, say: Say):
        super().__init__()
        self.name = name
        self.say = say
        self.stopped = False
        self._outer: tuple[str, int] | None = None

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        if not parent_phase:
            self._outer = phase_name, num_steps
            self._tell(phase_name, 0)

    def step_complete(self, phase_name: str, step: int) -> bool:
        if self._outer and phase_name == self._outer[0]:
            self._tell(phase_name, (step + 1) / max(self._outer[1], 1))
        return not self.stopped

    def phase_finish(self, phase_name: str) -> None:
        if self._outer and phase_name == self._outer[0]:
            self._tell(phase_name, 1)

    def _tell(self, phase: str, done: float) -> None:
        try:
            self.say(f"{self.name}: {phase}", min(done, 1.0))
        except KeyboardInterrupt:  # it must not cross TensorRT's own frames
            self.stopped = True
