"""A plan in TensorRT 10.16 and 11: tensors by name, profiles, and execution contexts without memory
of their own.

tests/bindings checks the names used here against the bindings of both versions; no plan was run on
a GPU yet."""

from __future__ import annotations

import math
from pathlib import Path

import ml_dtypes
import numpy as np

from retouch.artifacts.manifest import ArtifactError
from retouch.artifacts.tensorrt_plan import Machine
from retouch.backends.tensorrt.cuda import Stream, gpu

try:
    import tensorrt
except ImportError:
    raise ArtifactError(
        "the TensorRT runner needs TensorRT's Python package, 10.16 or newer; "
        "pip install tensorrt-cu13"
    ) from None

Shape = tuple[int, ...]
Range = tuple[Shape, Shape, Shape]  # the smallest, the optimal and the largest

NUMPY = {
    tensorrt.DataType.FLOAT: np.dtype(np.float32),
    tensorrt.DataType.HALF: np.dtype(np.float16),
    tensorrt.DataType.BF16: np.dtype(ml_dtypes.bfloat16),
    tensorrt.DataType.INT64: np.dtype(np.int64),
    tensorrt.DataType.INT32: np.dtype(np.int32),
    tensorrt.DataType.BOOL: np.dtype(np.bool_),
}


class Log(tensorrt.ILogger):
    """Keeps TensorRT's last error: its functions return None or False, and the reason is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.last = "TensorRT gives no reason"

    def log(self, severity: tensorrt.ILogger.Severity, msg: str) -> None:
        if severity in (tensorrt.ILogger.Severity.ERROR, tensorrt.ILogger.Severity.INTERNAL_ERROR):
            self.last = " ".join(msg.split())


LOG = Log()


def machine() -> Machine:
    return Machine(*gpu(), tensorrt.__version__)


def must(done: bool, what: str) -> None:
    """RuntimeError with TensorRT's reason unless `done`."""
    if not done:
        raise RuntimeError(f"TensorRT does not {what}: {LOG.last}")


class Engine:
    """A deserialised plan. `inputs` and `outputs` map names to numpy's types. `profiles` map inputs
    to ranges of shapes."""

    def __init__(self, plan: bytes, name: str):
        """ArtifactError when TensorRT cannot load `plan`; `name` is for the message."""
        self.name = name
        self._runtime = tensorrt.Runtime(LOG)  # an engine must not outlive it
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise ArtifactError(f"TensorRT {tensorrt.__version__} does not load {name}: {LOG.last}")
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        types = {name: NUMPY[self._engine.get_tensor_dtype(name)] for name in names}
        modes = {name: self._engine.get_tensor_mode(name) for name in names}
        self.inputs = {
            name: types[name] for name in names if modes[name] == tensorrt.TensorIOMode.INPUT
        }
        self.outputs = {
            name: types[name] for name in names if modes[name] == tensorrt.TensorIOMode.OUTPUT
        }
        self.profiles = [self._profile(i) for i in range(self._engine.num_optimization_profiles)]

    @property
    def weight_bytes(self) -> int:
        return self._engine.get_engine_stat(tensorrt.EngineStat.TOTAL_WEIGHTS_SIZE)

    def refit(self, path: Path) -> None:
        """Fill in a stripped plan's weights from its ONNX file; ArtifactError."""
        refitter = tensorrt.Refitter(self._engine, LOG)
        parser = tensorrt.OnnxParserRefitter(refitter, LOG)
        if not (parser.refit_from_file(str(path)) and refitter.refit_cuda_engine()):
            raise ArtifactError(f"the weights of {path.name} do not fit {self.name}: {LOG.last}")

    def inspect(self) -> str:
        """The layers by TensorRT's inspector, in JSON."""
        inspector = self._engine.create_engine_inspector()
        return inspector.get_engine_information(tensorrt.LayerInformationFormat.JSON)

    def profile_of(self, shapes: dict[str, Shape]) -> int:
        """The index of the smallest profile that accepts `shapes`; ValueError when none does."""

        def takes(profile: dict[str, Range]) -> bool:
            return all(within(shape, profile[name]) for name, shape in shapes.items())

        def size(index: int) -> int:
            return sum(math.prod(largest) for _, _, largest in self.profiles[index].values())

        fitting = [index for index, profile in enumerate(self.profiles) if takes(profile)]
        if not fitting:
            inputs = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
            raise ValueError(
                f"{self.name} was built for other shapes than {inputs}; "
                "build it again with a profile for them"
            )
        return min(fitting, key=size)

    def context(self, profile: int, shapes: dict[str, Shape], stream: Stream) -> Context:
        strategy = tensorrt.ExecutionContextAllocationStrategy.USER_MANAGED
        return Context(
            self._engine.create_execution_context(strategy),
            profile,
            shapes,
            tuple(self.outputs),
            stream,
        )

    def _profile(self, index: int) -> dict[str, Range]:
        return {name: self._range(name, index) for name in self.inputs}

    def _range(self, name: str, profile: int) -> Range:
        shapes = self._engine.get_tensor_profile_shape(name, profile)
        smallest, optimal, largest = map(tuple, shapes)
        return smallest, optimal, largest


class Context:
    """An engine with one set of shapes. `need` is its scratch memory in bytes, `outputs` are the
    outputs' shapes."""

    def __init__(
        self,
        context: tensorrt.IExecutionContext,
        profile: int,
        shapes: dict[str, Shape],
        outputs: tuple[str, ...],
        stream: Stream,
    ):
        self._context = context
        must(
            context.set_optimization_profile_async(profile, stream.handle),
            f"take profile {profile}",
        )
        for name, shape in shapes.items():
            must(context.set_input_shape(name, shape), f"take {name} of shape {list(shape)}")
        must(not context.infer_shapes(), "know the shapes of its outputs")
        self.need = context.update_device_memory_size_for_shapes()
        self.outputs = {name: tuple(context.get_tensor_shape(name)) for name in outputs}

    def bind(self, scratch: int, addresses: dict[str, int]) -> None:
        """Set the addresses of scratch memory of `need` bytes and of the tensors."""
        self._context.set_device_memory(scratch, self.need)
        for name, address in addresses.items():
            must(self._context.set_tensor_address(name, address), f"take an address for {name}")

    def enqueue(self, stream: Stream) -> None:
        must(self._context.execute_async_v3(stream.handle), "run")


def within(shape: Shape, limits: Range) -> bool:
    low, _, high = limits
    return len(shape) == len(low) and all(a <= b <= c for a, b, c in zip(low, shape, high))
