"""An ONNX graph on ONNX Runtime's CPU: the file that TensorRT builds from, lowered when it is
loaded."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np

from retouch.util import env

# read when it is imported; it leaves a file behind otherwise
env.disable_unless_set(env.ORT_TELEMETRY)

import onnxruntime  # noqa: E402

from retouch.artifacts.manifest import FLOAT32, ArtifactError, read, verify  # noqa: E402
from retouch.backends.base import files_of, joined  # noqa: E402

# small graphs lose more by waking a second thread than it does
THREADS = env.THREADS.name


class OnnxRunner:
    """One graph of a folder, checked against the folder's manifest."""

    def __init__(self, folder: Path, graph: str, keep: tuple[str, ...] = (), rounded: bool = True):
        """ArtifactError when a file of `graph` is missing, changed or not a graph that ONNX Runtime
        can load.

        `rounded` as in `retouch.backends.onnx_lowering.lower`; there is nowhere to `keep` outputs
        but in memory."""
        self.manifest = verify(folder, *files_of(graph, read(folder).files))
        path = Path(folder) / f"{graph}.onnx"
        try:
            self._session = session(
                str(path) if self.manifest.arithmetic == FLOAT32 else _lowered(path, rounded)
            )
        except Exception as failure:
            reason = str(failure).splitlines()[0]
            runtime = f"ONNX Runtime {onnxruntime.__version__}"
            raise ArtifactError(f"{graph}.onnx cannot be loaded by {runtime}: {reason}") from None
        self._outputs = [output.name for output in self._session.get_outputs()]
        self.workers = max(1, len(os.sched_getaffinity(0)) // threads())

    def run(self, **inputs: np.ndarray | list[np.ndarray]) -> dict[str, np.ndarray]:
        """The graph's outputs by name."""
        given = {name: joined(value) for name, value in inputs.items()}
        return dict(zip(self._outputs, self._session.run(self._outputs, given)))


# a lane's numbers with no rounding between: nearer to a pipeline in float32, and no longer the
# lane's own arithmetic
Float32Runner = partial(OnnxRunner, rounded=False)


def _lowered(path: Path, rounded: bool) -> bytes:
    from retouch.backends.onnx_lowering import (
        load,  # a stage in float32 does without the package that reads graphs
    )

    return load(path, rounded).SerializeToString()


def session(model: str | bytes) -> onnxruntime.InferenceSession:
    """A graph's path or its bytes on this machine's CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.inter_op_num_threads = 1
    # a thread that spins while it waits takes the core from the other stages and from the next edit
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])


def threads() -> int:
    """Threads of one graph; ValueError when the environment asks for anything but a positive
    number."""
    wish = env.THREADS.get()
    if not wish.isdecimal() or not int(wish):
        raise ValueError(f"{THREADS} is {wish!r}; it must be a positive whole number")
    return int(wish)
