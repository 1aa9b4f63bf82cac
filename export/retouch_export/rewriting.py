"""onnxscript's default rewrite rules, tried only on nodes that can match.

onnxscript tries all rules on every node, and one of them lists the whole graph each time, which
takes quadratic time.
"""

from __future__ import annotations

import copy
from collections.abc import Set
from typing import Any

import onnx_ir as ir
from onnxscript import rewriter
from onnxscript.rewriter import pattern

REMOVES_BIAS = "RemoveOptionalBias"  # how the names of rules begin that remove a bias of zeros
BIAS = 2  # its place among a node's inputs


def rewrite(model: ir.Model, parameters: Set[str] = frozenset()) -> None:
    """Apply the rules, with the same result as `onnxscript.rewriter.rewrite`; but biases that are
    among `parameters` stay."""
    rules = [_quick(rule, parameters) for rule in rewriter._DEFAULT_REWRITE_RULES]
    rewriter.rewrite(model, rules)


def _quick(rule: pattern.RewriteRule, parameters: Set[str]) -> pattern.RewriteRule:
    """A copy of the rule that only looks at nodes of its pattern's operation; the rule itself if
    the pattern names none."""
    operation = rule._matcher.pattern.output_nodes[0].op_identifier()
    if operation is None:
        return rule
    removes_bias = (rule.name or "").startswith(REMOVES_BIAS)
    quick = copy.copy(rule)

    def try_rewrite(
        model: ir.Model, graph_or_function: ir.Graph | ir.Function, node: ir.Node, **options: Any
    ) -> Any:
        if node.op_type != operation[1] or (removes_bias and _bias(node) in parameters):
            return None
        return rule.try_rewrite(model, graph_or_function, node, **options)

    quick.try_rewrite = try_rewrite
    return quick


def _bias(node: ir.Node) -> str | None:
    value = node.inputs[BIAS] if len(node.inputs) > BIAS else None
    return value.name if value is not None else None
