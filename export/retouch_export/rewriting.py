"""onnxscript's default rewrite rules, each tried only on the nodes that its pattern can end in.

By itself onnxscript tries all of them on every node, and one lists the whole graph each time: a
quadratic time.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import onnx_ir as ir
from onnxscript import rewriter
from onnxscript.rewriter import pattern


def rewrite(model: ir.Model) -> None:
    """Apply the rules, with the result that `onnxscript.rewriter.rewrite` has."""
    rewriter.rewrite(model, _rules())


@cache
def _rules() -> tuple[pattern.RewriteRule, ...]:
    return tuple(map(_quick, rewriter._DEFAULT_REWRITE_RULES))


def _quick(rule: pattern.RewriteRule) -> pattern.RewriteRule:
    """The rule, or where its pattern names an operation a copy that looks at nodes of that
    alone."""
    operation = rule._matcher.pattern.output_nodes[0].op_identifier()
    if operation is None:
        return rule
    quick = copy.copy(rule)

    def try_rewrite(model: ir.Model, graph: ir.Graph, node: ir.Node, **options: Any) -> Any:
        suits = node.op_type == operation[1]
        return rule.try_rewrite(model, graph, node, **options) if suits else None

    quick.try_rewrite = try_rewrite
    return quick
