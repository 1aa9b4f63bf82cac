"""An ONNX graph on ONNX Runtime's CPU."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when it is imported; it leaves a file behind otherwise

import onnxruntime  # noqa: E402

from retouch.manifest import ArtifactError, verify  # noqa: E402

THREADS = "RETOUCH_THREADS"  # environment: threads of one graph; small graphs lose more by waking a second than it does


class OnnxRunner:
    """One graph of a folder, checked against the folder's manifest."""

    def __init__(self, folder: Path, file: str):
        """ArtifactError when `file` is missing, changed or not a graph that ONNX Runtime can load."""
        self.manifest = verify(folder, file)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads()
        options.inter_op_num_threads = 1
        # a thread that spins while it waits takes the core from the other stages and from the next edit
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(Path(folder) / file), options, ["CPUExecutionProvider"])
        except Exception as failure:
            reason = str(failure).splitlines()[0]
            runtime = f"ONNX Runtime {onnxruntime.__version__}"
            raise ArtifactError(f"{file} cannot be loaded by {runtime}: {reason}") from None
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """The graph's outputs by name."""
        return dict(zip(self._outputs, self._session.run(self._outputs, inputs)))


def threads() -> int:
    """Threads of one graph; ValueError when the environment asks for anything but a positive number."""
    wish = os.environ.get(THREADS, "1")
    if not wish.isdecimal() or not int(wish):
        raise ValueError(f"{THREADS} is {wish!r}; it must be a positive whole number")
    return int(wish)
