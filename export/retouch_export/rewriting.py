"""onnxscript's default rewrite rules, tried only on nodes that can match.

onnxscript tries all rules on every node, and one of them lists the whole graph each time, which
takes quadratic time.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import onnx_ir as ir
from onnxscript import rewriter
from onnxscript.rewriter import pattern


def rewrite(model: ir.Model) -> None:
    """Apply the rules, with the same result as `onnxscript.rewriter.rewrite`."""
    rewriter.rewrite(model, _rules())


@cache
def _rules() -> tuple[pattern.RewriteRule, ...]:
    return tuple(map(_quick, rewriter._DEFAULT_REWRITE_RULES))


def _quick(rule: pattern.RewriteRule) -> pattern.RewriteRule:
    """A copy of the rule that only looks at nodes of its pattern's operation; the rule itself if
    the pattern names none."""
    operation = rule._matcher.pattern.output_nodes[0].op_identifier()
    if operation is None:
        return rule
    quick = copy.copy(rule)

    def try_rewrite(
        model: ir.Model, graph_or_function: ir.Graph | ir.Function, node: ir.Node, **options: Any
    ) -> Any:
        matches = node.op_type == operation[1]
        return rule.try_rewrite(model, graph_or_function, node, **options) if matches else None

    quick.try_rewrite = try_rewrite
    return quick
