"""ONNX Runtime's tensors on a device: copies from and to the host, joins and casts.

A join and a cast are graphs of one operator that run on the device, because the runtime's tensors
have no arithmetic of their own. On the device cpu the same calls work on the host's memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from retouch.backends.onnx_runtime import onnxruntime
from retouch.util.device import Device

# element types of ONNX
FLOAT = 1
BFLOAT16 = 16
OPSET = 20
IR_VERSION = 9
QUIET = 3  # severity of the runtime's messages: errors

Providers = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


class DeviceValue:
    """A tensor that stays on a device; `numpy.asarray` copies it to the host, bfloat16 as
    float32."""

    def __init__(self, value: onnxruntime.OrtValue, place: Place):
        self.value = value
        self._place = place

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.value.shape())

    @property
    def nbytes(self) -> int:
        return self.value.tensor_size_in_bytes()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self._place.download(self.value)
        return array if dtype is None else array.astype(dtype, copy=False)


Input = np.ndarray | DeviceValue


class Place:
    """One device and the execution providers that compute there."""

    def __init__(self, device: Device, providers: Providers):
        self.device = device
        self.providers = providers

    def working_providers(self) -> list[str]:
        """Names of the providers that a session of one operator has."""
        return list(_operator("Cast", ("x0",), FLOAT, FLOAT, self.providers).get_providers())

    def upload(self, array: np.ndarray, element_type: int) -> onnxruntime.OrtValue:
        """Copy an array to the device, as this element type where it is bfloat16."""
        host = np.ascontiguousarray(array)
        value = onnxruntime.OrtValue.ortvalue_from_numpy(host, self.device.kind, self.device.index)
        is_narrow = element_type == BFLOAT16 and value.element_type() != BFLOAT16
        return self._cast(value, BFLOAT16) if is_narrow else value

    def download(self, value: onnxruntime.OrtValue) -> np.ndarray:
        """A copy on the host; bfloat16, which numpy lacks, as float32."""
        wide = self._cast(value, FLOAT) if value.element_type() == BFLOAT16 else value
        return wide.numpy()

    def bound(self, value: Input | list[Input], element_type: int) -> onnxruntime.OrtValue:
        """An input on the device. The arrays of a list are joined along the batch, on the host if
        all are there."""
        rows = value if isinstance(value, list) else [value]
        arrays = [row for row in rows if isinstance(row, np.ndarray)]
        if len(arrays) == len(rows):
            joined = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
            return self.upload(joined, element_type)
        values = [
            row.value if isinstance(row, DeviceValue) else self.upload(row, element_type)
            for row in rows
        ]
        if len(values) == 1:
            return values[0]
        names = tuple(f"x{index}" for index in range(len(values)))
        session = _operator("Concat", names, values[0].element_type(), 0, self.providers)
        return self._run(session, names, values)

    def _cast(self, value: onnxruntime.OrtValue, to: int) -> onnxruntime.OrtValue:
        session = _operator("Cast", ("x0",), value.element_type(), to, self.providers)
        return self._run(session, ("x0",), [value])

    def _run(
        self,
        session: onnxruntime.InferenceSession,
        names: Sequence[str],
        values: Sequence[onnxruntime.OrtValue],
    ) -> onnxruntime.OrtValue:
        (result,) = self.run(session, dict(zip(names, values)), ("y",))
        return result

    def run(
        self,
        session: onnxruntime.InferenceSession,
        inputs: dict[str, onnxruntime.OrtValue],
        outputs: Sequence[str],
    ) -> list[onnxruntime.OrtValue]:
        """The outputs of a graph on the device, from inputs there."""
        binding = session.io_binding()
        for name, value in inputs.items():
            binding.bind_ortvalue_input(name, value)
        for name in outputs:
            # the runtime allocates: shapes of outputs are not known before
            binding.bind_output(name, self.device.kind, self.device.index)
        binding.synchronize_inputs()
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return list(binding.get_outputs())


@cache
def _operator(
    kind: str, inputs: tuple[str, ...], element_type: int, attribute: int, providers: Providers
) -> onnxruntime.InferenceSession:
    """A graph of one Cast, whose attribute is the type, or of one Concat along an axis."""
    from onnx import helper

    result = attribute if kind == "Cast" else element_type
    node = helper.make_node(kind, inputs, ["y"])
    name = "to" if kind == "Cast" else "axis"
    node.attribute.append(helper.make_attribute(name, attribute))
    graph = helper.make_graph(
        [node],
        kind,
        [helper.make_tensor_value_info(x, element_type, None) for x in inputs],
        [helper.make_tensor_value_info("y", result, None)],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    return new_session(model.SerializeToString(), providers)


def new_session(
    model: str | bytes, providers: Providers, entries: Mapping[str, str] | None = None
) -> onnxruntime.InferenceSession:
    """A session of a graph's path or bytes, with these entries of its configuration; errors of a
    provider are raised."""
    options = onnxruntime.SessionOptions()
    for key, value in (entries or {}).items():
        options.add_session_config_entry(key, value)
    options.log_severity_level = QUIET
    with_options = [(name, dict(pairs)) for name, pairs in providers]
    return onnxruntime.InferenceSession(model, options, with_options, enable_fallback=0)
