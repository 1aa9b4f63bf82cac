"""A traced graph without what is constant; parameters and buffers stay as they are in torch."""

from __future__ import annotations

from collections.abc import Set

import onnx_ir as ir
from onnx_ir.passes import common
from onnxscript import optimizer

from retouch_export.onnx_values import constant_of, dims_of, name_of
from retouch_export.rewriting import rewrite
from retouch_export.weights import STORED

LARGEST = 1024  # numbers of a constant that may be shared


def simplify(model: ir.Model, names: Set[str]) -> None:
    """Fold constants, but none of `names`: those stay in torch's layout, [out, in], under their
    names, which the torch backend finds them by."""
    kept = names | {name + STORED for name in names}

    def should_fold(node: ir.Node) -> bool | None:
        if node.op_type == "Shape":
            return None
        is_kept = any(name_of(value) in kept for value in node.inputs if value is not None)
        return False if is_kept else None

    optimizer.fold_constants(model, should_fold=should_fold)
    rewrite(model, kept)
    common.RemoveUnusedNodesPass()(model)
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    _share_constants(model.graph, kept)
    common.CommonSubexpressionEliminationPass()(model)
    common.NameFixPass()(model)


def _share_constants(graph: ir.Graph, kept: Set[str]) -> None:
    """Use one initializer for equal small constants that are not in `kept`."""
    first: dict[tuple, ir.Value] = {}
    for name, value in list(graph.initializers.items()):
        tensor = constant_of(value)
        if name in kept or tensor.size > LARGEST or value.is_graph_output():
            continue
        same = first.setdefault((tensor.dtype, dims_of(tensor), tensor.tobytes()), value)
        if same is not value:
            value.replace_all_uses_with(same)
            del graph.initializers[name]
