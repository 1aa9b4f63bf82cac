"""The build of one TensorRT plan: options, timing cache and progress."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retouch.artifacts.manifest import ArtifactError
from retouch.artifacts.tensorrt_plan import Machine, labelled
from retouch.backends.onnx import session
from retouch.backends.onnx_lowering import load
from retouch.backends.tensorrt.engine import LOG, must, tensorrt
from retouch_export.plan_trial import Tensors
from retouch_export.tensorrt_profiles import Profile, Shapes, Targets

Say = Callable[[str, float | None], None]  # a message, and the finished share if it is known
Truth = Callable[[Path], Callable[[Tensors], Tensors]]  # from a graph's file to its computation


def lowered(path: Path) -> Callable[[Tensors], Tensors]:
    """Run the graph on ONNX Runtime's CPU, with the number formats of its lane."""
    running = session(load(path).SerializeToString())
    names = [output.name for output in running.get_outputs()]
    return lambda inputs: dict(zip(names, map(np.asarray, running.run(names, dict(inputs)))))


@dataclass(frozen=True)
class Options:
    """How plans are built.

    `profiles` are by default the family's. `level` is TensorRT's optimisation level, 0 to 5.
    `workspace` limits a kernel's extra memory in bytes; 0 is no limit. `strip` leaves the weights
    out of the plan: they are loaded from the ONNX file. `wider` is the version folder of the next
    wider lane, with its plans. `force` registers slow and large plans too. `cache` is the folder of
    TensorRT's timings, which make the next build faster. `truth` computes the expected outputs. For
    the plans of a stage other than the denoiser, `part` is its name and `targets` takes the place
    of `profiles`."""

    profiles: Sequence[Profile] = ()
    level: int = 3
    workspace: int = 0
    strip: bool = False
    force: bool = False
    wider: Path | None = None
    cache: Path = Path(".runtime")
    truth: Truth = lowered
    part: str = ""
    targets: Targets | None = None


def build(
    path: Path, table: list[dict[str, Shapes]], options: Options, target: Machine, say: Say
) -> bytes:
    """The serialised plan of an ONNX file. ArtifactError with TensorRT's reason; KeyboardInterrupt
    when the user stops the build."""
    builder = tensorrt.Builder(LOG)
    # TensorRT 11 has no other networks and ignores the flag, whose number differs by version
    network = builder.create_network(
        1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    )
    parser = tensorrt.OnnxParser(network, LOG)
    if not parser.parse_from_file(str(path)):
        reasons = "; ".join(parser.get_error(i).desc() for i in range(parser.num_errors))
        raise ArtifactError(
            f"TensorRT {target.tensorrt} does not understand {path.name}: {reasons}"
        )
    config = _config(builder, table, options)
    config.progress_monitor = monitor = Monitor(labelled(path.stem, options.part), say)
    cache = (
        options.cache / f"{re.sub('[^a-z0-9]+', '-', target.gpu.lower())}-{target.tensorrt}.timing"
    )
    _load_timings(config, cache)
    plan = builder.build_serialized_network(network, config)
    if monitor.stopped:
        raise KeyboardInterrupt
    if plan is None:
        raise ArtifactError(f"TensorRT {target.tensorrt} cannot build {path.name}: {LOG.last}")
    _save_timings(config, cache)
    return plan


def _config(
    builder: tensorrt.Builder, table: list[dict[str, Shapes]], options: Options
) -> tensorrt.IBuilderConfig:
    config = builder.create_builder_config()
    config.builder_optimization_level = options.level
    # without it the inspector does not report the types of layers
    config.profiling_verbosity = tensorrt.ProfilingVerbosity.DETAILED
    if options.workspace:
        config.set_memory_pool_limit(tensorrt.MemoryPoolType.WORKSPACE, options.workspace)
    if options.strip:
        config.set_flag(tensorrt.BuilderFlag.STRIP_PLAN)
        config.set_flag(tensorrt.BuilderFlag.REFIT_IDENTICAL)
    for limits in table:
        profile = builder.create_optimization_profile()
        for name, (low, optimal, high) in limits.items():
            profile.set_shape(name, low, optimal, high)
        config.add_optimization_profile(profile)
    return config


def _load_timings(config: tensorrt.IBuilderConfig, path: Path) -> None:
    """Load the timings of earlier builds, if there are any and TensorRT accepts them."""
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


class Monitor(tensorrt.IProgressMonitor):
    """Reports the progress of a build's outermost phase. Ctrl-C stops the build at its next
    step."""

    def __init__(self, name: str, say: Say):
        super().__init__()
        self.name = name
        self.say = say
        self.stopped = False
        self._outer: tuple[str, int] | None = None

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        if not parent_phase:
            self._outer = phase_name, num_steps
            self._report(phase_name, 0)

    def step_complete(self, phase_name: str, step: int) -> bool:
        if self._outer and phase_name == self._outer[0]:
            self._report(phase_name, (step + 1) / max(self._outer[1], 1))
        return not self.stopped

    def phase_finish(self, phase_name: str) -> None:
        if self._outer and phase_name == self._outer[0]:
            self._report(phase_name, 1)

    def _report(self, phase: str, done: float) -> None:
        try:
            self.say(f"{self.name}: {phase}", min(done, 1.0))
        except KeyboardInterrupt:  # must not cross the frames of TensorRT
            self.stopped = True
