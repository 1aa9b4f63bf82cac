"""The parts of the CUDA runtime that the TensorRT backend uses: memory, a stream and graphs. Errors
are one sentence."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from retouch.artifacts.manifest import ArtifactError

try:
    from cuda.bindings import runtime
except ImportError:
    raise ArtifactError(
        "the TensorRT runner needs the Python package cuda-bindings of the CUDA in use; "
        "pip install cuda-bindings"
    ) from None


class CudaError(RuntimeError):
    """An error of the CUDA runtime, as one sentence."""


def checked(what: str, answer: tuple) -> Any:
    """The result in a CUDA function's return value (status, result); CudaError when the status is
    not success."""
    status, *results = answer
    if status != runtime.cudaError_t.cudaSuccess:
        _, reason = runtime.cudaGetErrorString(status)
        raise CudaError(f"{what} failed: {reason.decode()}")
    return results[0] if results else None


def gpu() -> tuple[str, tuple[int, int]]:
    """The current GPU's name and compute capability; ArtifactError where there is none."""
    try:
        device = checked("looking for a GPU", runtime.cudaGetDevice())
        properties = checked("asking the GPU for its name", runtime.cudaGetDeviceProperties(device))
    except CudaError as failure:
        raise ArtifactError(f"TensorRT needs an NVIDIA GPU and its driver: {failure}") from None
    return properties.name.decode().rstrip("\0"), (properties.major, properties.minor)


class Memory:
    """`size` bytes on the GPU, freed by `close` or with the last reference."""

    def __init__(self, size: int):
        self.size = size
        self.address = int(
            checked(f"asking the GPU for {size / 1e6:.1f} MB", runtime.cudaMalloc(size))
        )
        self.close = weakref.finalize(self, runtime.cudaFree, self.address)


class Graph:
    """Captured work of a stream, for any number of launches; destroyed with the last reference."""

    def __init__(self, executable: Any):
        self.executable = executable
        weakref.finalize(self, runtime.cudaGraphExecDestroy, executable)


class Stream:
    """A CUDA stream. The default stream would wait for all others."""

    def __init__(self) -> None:
        self._raw = checked(
            "making a stream", runtime.cudaStreamCreateWithFlags(runtime.cudaStreamNonBlocking)
        )
        self.handle = int(self._raw)
        self.close = weakref.finalize(self, runtime.cudaStreamDestroy, self._raw)

    def upload(self, array: np.ndarray, address: int) -> None:
        """Copy a contiguous array to the GPU; it may change as soon as this returns."""
        self._copy(
            address, array.ctypes.data, array.nbytes, runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        )

    def download(self, address: int, array: np.ndarray) -> None:
        """Copy the GPU's bytes into a contiguous array, which holds them after `synchronize`."""
        self._copy(
            array.ctypes.data, address, array.nbytes, runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        )

    def move(self, source: int, target: int, size: int) -> None:
        """Copy bytes on the GPU."""
        self._copy(target, source, size, runtime.cudaMemcpyKind.cudaMemcpyDeviceToDevice)

    def _copy(self, target: int, source: int, size: int, kind: Any) -> None:
        if size:
            checked("copying", runtime.cudaMemcpyAsync(target, source, size, kind, self._raw))

    def synchronize(self) -> None:
        checked("running on the GPU", runtime.cudaStreamSynchronize(self._raw))

    def capture(self, work: Callable[[], None]) -> Graph:
        """The graph of what `work` enqueues. Nothing is run."""
        mode = runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        checked("capturing", runtime.cudaStreamBeginCapture(self._raw, mode))
        try:
            work()
        except BaseException:  # a stream in capture cannot be used again
            status, *captured = runtime.cudaStreamEndCapture(self._raw)
            if status == runtime.cudaError_t.cudaSuccess:
                runtime.cudaGraphDestroy(*captured)
            raise
        captured = checked("capturing", runtime.cudaStreamEndCapture(self._raw))
        try:
            return Graph(checked("making a graph", runtime.cudaGraphInstantiate(captured, 0)))
        finally:
            checked("dropping a graph", runtime.cudaGraphDestroy(captured))

    def launch(self, graph: Graph) -> None:
        checked("launching a graph", runtime.cudaGraphLaunch(graph.executable, self._raw))

    def seconds(self, work: Callable[[], None]) -> float:
        """The GPU's time for what `work` enqueues, by the GPU's clock."""
        start, end = (checked("making an event", runtime.cudaEventCreate()) for _ in range(2))
        try:
            checked("recording", runtime.cudaEventRecord(start, self._raw))
            work()
            checked("recording", runtime.cudaEventRecord(end, self._raw))
            checked("running on the GPU", runtime.cudaEventSynchronize(end))
            return checked("reading the clock", runtime.cudaEventElapsedTime(start, end)) / 1000
        finally:
            for event in (start, end):
                checked("dropping an event", runtime.cudaEventDestroy(event))


class DeviceArray:
    """An output that stays on the GPU; `np.asarray` copies it to the host, 16-bit numbers as
    float32."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype):
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.nbytes = int(np.prod(shape)) * self.dtype.itemsize
        self.memory = Memory(max(self.nbytes, 1))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        host = np.empty(self.shape, self.dtype)
        kind = runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        checked(
            "copying", runtime.cudaMemcpy(host.ctypes.data, self.memory.address, self.nbytes, kind)
        )
        numbers = widened(host)
        return numbers if dtype is None else numbers.astype(dtype, copy=False)


def widened(array: np.ndarray) -> np.ndarray:
    """Any floating type, also those of ml_dtypes (numpy's kind V), as float32; other types
    unchanged."""
    return array.astype(np.float32) if array.dtype.kind in "fV" else array
