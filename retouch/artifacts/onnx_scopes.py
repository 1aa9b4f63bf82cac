"""The torch module from which a node of an exported graph comes."""

from __future__ import annotations

import ast

import onnx_ir as ir

SCOPES = "pkg.torch.onnx.name_scopes"  # metadata with the names of modules
ROOT = "model."  # the network's attribute in the wrapper modules of transformers and text models


def scope_of(node: ir.Node) -> str:
    """The name of the module in the traced wrapper; empty for a node outside of modules.

    The last scope of a node is its operation, and the one before it is its module."""
    scopes = [scope for scope in ast.literal_eval(node.metadata_props.get(SCOPES, "[]")) if scope]
    return scopes[-2] if len(scopes) > 1 else ""


def module_of(node: ir.Node) -> str:
    """The name of the module in its network; empty for a node outside of modules."""
    return scope_of(node).removeprefix(ROOT)
