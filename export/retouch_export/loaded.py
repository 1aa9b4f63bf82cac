"""Export of a graph with its weights, for the small networks around the denoiser."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from retouch_export.graph import LARGEST, TRACED, Graph
from retouch_export.simplify import simplify
from retouch_export.trace import give, state_of, traced


def export(graph: Graph, path: Path) -> None:
    """Write `graph` to `path` in float32. Parameters and buffers have torch's names and layout.
    They are in the file or, if they are too many, in `path`.data."""
    model = traced(graph, graph.inputs(TRACED))
    give(model, graph)
    simplify(model, {name for name, _ in state_of(graph)})
    beside = graph.parameters > LARGEST
    ir.save(model, path, external_data=f"{path.name}.data" if beside else None)
