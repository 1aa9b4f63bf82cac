"""TensorRT's engines, emulated: ONNX Runtime computes on the memory of an emulated GPU."""

from __future__ import annotations

import json
import math
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
from graphs import on_cpu
from onnx import ModelProto, TensorProto
from world import Emulated

NUMPY = {
    TensorProto.FLOAT: np.dtype(np.float32),
    TensorProto.BFLOAT16: np.dtype(ml_dtypes.bfloat16),
    TensorProto.INT64: np.dtype(np.int64),
    TensorProto.BOOL: np.dtype(np.bool_),
}
# members of DataType
TYPES = {
    TensorProto.FLOAT: "FLOAT",
    TensorProto.BFLOAT16: "BF16",
    TensorProto.INT64: "INT64",
    TensorProto.BOOL: "BOOL",
}
WORDS = {"fp8": "FP8", "fp4": "FP4", "wide": "BFloat16"}
TACTICS = {
    "fp8": "sm90_xmma_gemm_e4m3bf16_e4m3f32_f32_tn_n_tilesize128x128x128",
    "fp4": "cutlass3x_sm100_bstensorop_gemm_ue4m3xe2m1_ue4m3xe2m1_f32_bf16_128x128x256",
    "wide": "sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64",
}


class Runtime(Emulated):
    def __init__(self, logger: Any):
        self.logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> Any:
        head, _, body = bytes(serialized_engine).partition(b"\n")
        try:
            return self.world.new("ICudaEngine", json.loads(head), ModelProto.FromString(body))
        except Exception:
            self.world.complain(self.logger, "serialization magic tag does not match")
            return None


class ICudaEngine(Emulated):
    def __init__(self, header: dict, model: ModelProto):
        self.header = header
        self.model = model
        self.stripped = header["stripped"]
        self.tensors = {tensor.name: tensor for tensor in (*model.graph.input, *model.graph.output)}
        self.inputs = [tensor.name for tensor in model.graph.input]
        self.load()

    def load(self) -> None:
        content = on_cpu(self.model).SerializeToString()
        self.session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def compute(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        names = [output.name for output in self.session.get_outputs()]
        wide = {name: _widened(values) for name, values in inputs.items()}
        return dict(zip(names, self.session.run(names, wide)))

    def numpy(self, name: str) -> np.dtype:
        return NUMPY[self._type(name)]

    def _type(self, name: str) -> int:
        return self.tensors[name].type.tensor_type.elem_type

    @property
    def num_io_tensors(self) -> int:
        return len(self.tensors)

    @property
    def num_optimization_profiles(self) -> int:
        return len(self.header["profiles"])

    def get_tensor_name(self, index: int) -> str:
        return list(self.tensors)[index]

    def get_tensor_mode(self, name: str) -> Any:
        modes = self.world.real.TensorIOMode
        return modes.INPUT if name in self.inputs else modes.OUTPUT

    def get_tensor_dtype(self, name: str) -> Any:
        return getattr(self.world.real.DataType, TYPES[self._type(name)])

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list:
        return [
            self.world.real.Dims(shape) for shape in self.header["profiles"][profile_index][name]
        ]

    def get_engine_stat(self, stat: Any) -> int:
        bits = {TensorProto.FLOAT8E4M3FN: 8, TensorProto.FLOAT4E2M1: 4, TensorProto.BFLOAT16: 16}
        total = sum(
            math.prod(tensor.dims) * bits.get(tensor.data_type, 32) // 8
            for tensor in self.model.graph.initializer
        )
        return int(total * self.header["weight_share"])

    def create_engine_inspector(self) -> Any:
        return self.world.new("EngineInspector", self)

    def create_execution_context(self, strategy: Any) -> Any:
        assert strategy == self.world.real.ExecutionContextAllocationStrategy.USER_MANAGED
        return self.world.new("IExecutionContext", self)


def _widened(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32) if values.dtype.kind in "fV" else values


class IExecutionContext(Emulated):
    def __init__(self, engine: ICudaEngine):
        self.owner = engine
        self.profile = None
        self.memory = (0, 0)
        self.shapes: dict[str, tuple] = {}
        self.addresses: dict[str, int] = {}
        self.world.alive += 1

    def __del__(self) -> None:
        self.world.alive -= 1

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        self.profile = self.owner.header["profiles"][profile_index]
        return stream_handle in self.world.device.streams

    def set_input_shape(self, name: str, shape: Any) -> bool:
        low, _, high = self.profile[name]
        self.shapes[name] = tuple(shape)
        return all(a <= b <= c for a, b, c in zip(low, shape, high))

    def infer_shapes(self) -> list[str]:
        zeros = {
            name: np.zeros(shape, self.owner.numpy(name)) for name, shape in self.shapes.items()
        }
        self.results = {name: values.shape for name, values in self.owner.compute(zeros).items()}
        return [name for name in self.owner.inputs if name not in self.shapes]

    def update_device_memory_size_for_shapes(self) -> int:
        return 256 + 4 * sum(map(math.prod, self.shapes.values()))

    def get_tensor_shape(self, name: str) -> Any:
        return self.world.real.Dims({**self.shapes, **self.results}[name])

    def set_device_memory(self, memory: int, size: int) -> None:
        assert memory % 256 == 0 and size >= self.update_device_memory_size_for_shapes()
        self.world.device.view(memory, size)
        self.memory = memory, size

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self.addresses[name] = memory
        return name in self.owner.tensors

    def execute_async_v3(self, stream_handle: int) -> bool:
        if self.owner.stripped or set(self.addresses) != set(self.owner.tensors):
            return False
        device = self.world.device
        owner = self.owner
        memory = self.memory
        addresses = dict(self.addresses)
        shapes = dict(self.shapes)
        results = dict(self.results)

        def look(name: str, shape: tuple) -> np.ndarray:
            dtype = owner.numpy(name)
            return np.frombuffer(
                device.view(addresses[name], math.prod(shape) * dtype.itemsize), dtype
            ).reshape(shape)

        def work() -> None:
            device.view(*memory)[:] = (
                b"\xff" * memory[1]
            )  # scratch: whatever shares it without leave is spoilt
            answers = owner.compute({name: look(name, shape) for name, shape in shapes.items()})
            for name, values in answers.items():
                rough = values + owner.header["noise"] * np.random.default_rng(0).standard_normal(
                    values.shape
                )
                look(name, results[name])[...] = rough.astype(owner.numpy(name))
            device.clock += owner.header["milliseconds"]

        device.enqueue(stream_handle, work)
        return True


class Refitter(Emulated):
    def __init__(self, engine: ICudaEngine, logger: Any):
        self.engine = engine
        self.logger = logger
        self.model = None

    def refit_cuda_engine(self) -> bool:
        self.engine.model = self.model
        self.engine.stripped = False
        self.engine.load()
        return True


class OnnxParserRefitter(Emulated):
    def __init__(self, refitter: Refitter, logger: Any):
        self.refitter = refitter

    def refit_from_file(self, model: str) -> bool:
        loaded = onnx.load(model)
        names = [tensor.name for tensor in self.refitter.engine.model.graph.initializer]
        if [tensor.name for tensor in loaded.graph.initializer] != names:
            self.world.complain(self.refitter.logger, "a weight is missing")
            return False
        self.refitter.model = loaded
        return True


class EngineInspector(Emulated):
    def __init__(self, engine: ICudaEngine):
        self.engine = engine

    def get_engine_information(self, format: Any) -> str:
        assert format == self.world.real.LayerInformationFormat.JSON
        header = self.engine.header
        graph = self.engine.model.graph
        layers = [
            self._layer(node, f" [profile {number}]" if number else "")
            for number in range(len(header["profiles"]))
            for node in graph.node
        ]
        if not header["detailed"]:
            layers = [layer["Name"] for layer in layers]
        names = list(self.engine.tensors)
        if not self.world.eleven:
            return json.dumps({"Layers": layers, "Bindings": names})
        return json.dumps(
            {"Layers": layers, "I/O Tensors": [{"Name": name, "IOMode": "Input"} for name in names]}
        )

    def _layer(self, node: onnx.NodeProto, suffix: str) -> dict:
        kind = None
        if node.op_type == "MatMul":
            last = node.input[1]
            kind = (
                "fp4" if last.endswith("/turned") else "fp8" if last.endswith("/wide") else "wide"
            )
            kind = "wide" if node.name in self.engine.header["widened"] else kind
        layer = {
            "Name": (node.name or node.output[0]) + suffix,
            "LayerType": "gemm" if kind else "kgen",
            "Inputs": [self._tensor(name, kind or "wide") for name in node.input],
            "Outputs": [self._tensor(name, "wide") for name in node.output],
            "StreamId": 0,
            "Metadata": "",
        }
        return {**layer, "TacticName": TACTICS[kind]} if kind else layer

    def _tensor(self, name: str, kind: str) -> dict:
        about = {"Name": name, "Location": "Device", "Dimensions": [1, 8, 32]}
        if not self.world.eleven:
            return {**about, "Format/Datatype": WORDS[kind]}
        return {**about, "Format": "Row major linear", "DataType": WORDS[kind]}


CLASSES = (Runtime, ICudaEngine, IExecutionContext, Refitter, OnnxParserRefitter, EngineInspector)
