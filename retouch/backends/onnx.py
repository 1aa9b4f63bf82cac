"""The backend `onnx`: a graph on ONNX Runtime's CPU, from the file that TensorRT builds from. It is
lowered when it is loaded.

Other runners do not need ONNX Runtime, so it is imported with the first graph."""

from __future__ import annotations

import os
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from retouch.artifacts.adapter_folder import is_matrix
from retouch.artifacts.manifest import FLOAT32, ArtifactError, read, verify
from retouch.artifacts.matrices import Matrices
from retouch.backends.base import files_of, joined
from retouch.util import env

if TYPE_CHECKING:
    import onnxruntime

env.disable_unless_set(env.ORT_TELEMETRY)  # whoever imports ONNX Runtime first
# waking a second thread costs small graphs more than it gains
THREADS = env.THREADS.name


class OnnxBackend:
    """One graph of a folder, checked against the folder's manifest."""

    batches = False  # on a CPU, and a batch's company changes an edit's last bits
    compiles = False

    def __init__(self, folder: Path, graph: str, keep: tuple[str, ...] = (), rounded: bool = True):
        """ArtifactError when a file of `graph` is missing, changed or cannot be loaded by ONNX
        Runtime. `rounded` as in `retouch.backends.onnx_lowering.lower`; `keep` has no effect."""
        from retouch.backends.onnx_runtime import onnxruntime

        self.manifest = verify(folder, *files_of(graph, read(folder).files))
        self._path = Path(folder) / f"{graph}.onnx"
        self._rounded = rounded
        self._branches: frozenset[str] = frozenset()
        self._opening = threading.Lock()
        is_wide = self.manifest.arithmetic == FLOAT32
        try:
            self._session = session(
                str(self._path) if is_wide else serialized(self._path, rounded)[0]
            )
        except Exception as failure:
            reason = str(failure).splitlines()[0]
            runtime = f"ONNX Runtime {onnxruntime.__version__}"
            raise ArtifactError(f"{graph}.onnx cannot be loaded by {runtime}: {reason}") from None
        self._outputs = [output.name for output in self._session.get_outputs()]
        self.workers = max(1, len(os.sched_getaffinity(0)) // threads())

    def run(self, **inputs: np.ndarray | list[np.ndarray]) -> dict[str, np.ndarray]:
        """The graph's outputs by name."""
        arrays = {
            name: joined(value)
            for name, value in inputs.items()
            if name in self._branches or not is_matrix(name)
        }
        # the stub also has sparse tensors, lists and dicts
        outputs = cast("list[np.ndarray]", self._session.run(self._outputs, arrays))
        return dict(zip(self._outputs, outputs))

    def accept_adapters(self) -> None:
        """Open the graph again with branches. Runs that have begun keep the session without."""
        with self._opening:
            if not self._branches:
                model, branches = serialized(self._path, self._rounded, adapted=True)
                self._session = session(model)
                self._branches = branches

    def placed(self, matrices: Matrices) -> Matrices:
        """The matrices themselves: the runtime reads numpy's memory."""
        return matrices


# without rounding to the lane's arithmetic: nearer to a pipeline in float32
Float32Backend = partial(OnnxBackend, rounded=False)


def serialized(path: Path, rounded: bool, adapted: bool = False) -> tuple[bytes, frozenset[str]]:
    """The lowered graph, and the names of its branches' inputs if it is `adapted`."""
    # a stage in float32 does not need the package `onnx`
    import onnx

    from retouch.backends.onnx_branches import add_branches
    from retouch.backends.onnx_lowering import lower

    model = onnx.load(path)
    branches = add_branches(model) if adapted else frozenset()
    return lower(model, rounded).SerializeToString(), branches


def session(model: str | bytes) -> onnxruntime.InferenceSession:
    """A session on this machine's CPU of a graph's path or bytes."""
    from retouch.backends.onnx_runtime import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.inter_op_num_threads = 1
    # a waiting thread that spins takes the core from other stages and edits
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])


def threads() -> int:
    """Threads of one graph; ValueError when the environment's is not a positive number."""
    value = env.THREADS.get()
    if not value.isdecimal() or not int(value):
        raise ValueError(f"{THREADS} is {value!r}; it must be a positive whole number")
    return int(value)
