"""One torch module as one ONNX graph without weights, traced by torch or found in the cache of
traced graphs."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import cast

import onnx_ir as ir
import torch
from onnx_ir.tensor_adapters import TorchTensor
from torch import Tensor

from retouch_export import sources, symbolic_sizes, trace_cache
from retouch_export.fingerprint import Unknown, fingerprint
from retouch_export.graph import Graph
from retouch_export.onnx_values import constant_of, dims_of
from retouch_export.parts import OPSET
from retouch_export.staleness import versions

STACK = "pkg.torch.onnx.stack_trace"  # of every node: lines of sources, which no graph needs
NOWHERE = "weights"  # the file that parameters without numbers are said to be in


def traced(graph: Graph, inputs: Mapping[str, Tensor]) -> ir.Model:
    """Before any simplification, in a network's own precision. Whoever takes it gives the
    parameters their numbers.

    It is the same whether it was in the cache or not: what is traced is read back from its entry
    too.
    """
    key = _key(graph, inputs)
    if key is None:
        return trace_cache.unpacked(_entry(graph, inputs))
    with trace_cache.alone(key):
        model = trace_cache.load(key)
        if model is None:
            entry = _entry(graph, inputs)
            trace_cache.store(key, entry)
            model = trace_cache.unpacked(entry)
    return model


def _entry(graph: Graph, inputs: Mapping[str, Tensor]) -> bytes:
    model = _trace(graph, inputs)
    _bare(model, graph)
    return trace_cache.packed(model)


def _trace(graph: Graph, inputs: Mapping[str, Tensor]) -> ir.Model:
    with symbolic_sizes.remembered():
        program = torch.onnx.export(
            graph.module,
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=list(graph.outputs),
            dynamic_shapes=tuple(graph.axes[name] for name in inputs),
            dynamo=True,
            opset_version=OPSET,
            optimize=False,
            verbose=False,
        )
    return cast(torch.onnx.ONNXProgram, program).model  # None is for the older exporter alone


def _bare(model: ir.Model, graph: Graph) -> None:
    """Take the numbers from the parameters and buffers of the module, and the traces of sources
    from the nodes."""
    names = {name for name, _ in state_of(graph)}
    for name, value in model.graph.initializers.items():
        if name in names:
            tensor = constant_of(value)
            value.const_value = ir.ExternalTensor(
                NOWHERE,
                0,
                tensor.nbytes,
                tensor.dtype,
                shape=ir.Shape(dims_of(tensor)),
                name=name,
                base_dir="",
            )
    for function in (model.graph, *model.functions.values()):
        for node in function.all_nodes():
            node.metadata_props.pop(STACK, None)


def give(model: ir.Model, graph: Graph) -> None:
    """Give the parameters and buffers of `model` the numbers of the graph's module."""
    state = dict(state_of(graph))
    for name, value in model.graph.initializers.items():
        if name in state:
            value.const_value = TorchTensor(state[name].detach(), name=name)


def state_of(graph: Graph) -> Iterator[tuple[str, Tensor]]:
    """The parameters and buffers of the graph's module, by each of their names."""
    yield from graph.module.named_parameters(remove_duplicate=False)
    yield from graph.module.named_buffers(remove_duplicate=False)


def _key(graph: Graph, inputs: Mapping[str, Tensor]) -> str | None:
    """Of all that the graph depends on; None for a module that cannot be described."""
    try:
        module = fingerprint(graph.module)
    except Unknown:
        return None
    about = {
        "module": module,
        "outputs": graph.outputs,
        "opset": OPSET,
        "tools": versions(),
        "sources": sources.digests(sources.closure(__name__, type(graph.module).__module__)),
        "onnx_ir": metadata.version("onnx_ir"),
        "python": sys.version_info[:2],
        "inputs": [
            [name, list(value.shape), str(value.dtype), sorted(graph.axes[name].items())]
            for name, value in inputs.items()
        ],
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
