"""Which torch module a node of an exported graph comes from, and what its parameters are called
there."""

from __future__ import annotations

import ast

import onnx_ir as ir

SCOPES = "pkg.torch.onnx.name_scopes"  # where exports name modules
ROOT = "model."  # our wrappers' own attribute, before every parameter and module of the network


def module_of(node: ir.Node) -> str:
    """The last but one of the node's scopes, before the operation's own; "" for what lies in no
    module."""
    scopes = [scope for scope in ast.literal_eval(node.metadata_props.get(SCOPES, "[]")) if scope]
    return scopes[-2].removeprefix(ROOT) if len(scopes) > 1 else ""
