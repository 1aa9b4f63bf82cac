"""Operations on symbolic sizes are computed once in a trace, with torch's own results."""

from __future__ import annotations

import operator

import pytest
import torch
from torch._dynamo.source import ConstantSource
from torch.fx.experimental.sym_node import SymNode
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv

from retouch_export import symbolic_sizes

OPERATORS = (
    operator.add,
    operator.sub,
    operator.mul,
    operator.eq,
    operator.ne,
    operator.lt,
    operator.gt,
    operator.le,
    operator.ge,
    torch.sym_max,
)


def sizes(environment, *hints):
    for index, hint in enumerate(hints):
        source = ConstantSource(f"size{index}")
        symbol = environment.create_symbol(hint, source, dynamic_dim=DimDynamic.DYNAMIC)
        yield environment.create_symintnode(symbol, hint=hint, source=source)


def described(result):
    return str(result.node.expr), result.node.hint, result.node.pytype


@pytest.mark.parametrize("operation", OPERATORS)
def test_results_are_torchs(operation):
    height, width = sizes(ShapeEnv(), 6, 10)
    pairs = (height, width), (width, height), (height, 4), (height * 2, width + 1)
    expected = [described(operation(*pair)) for pair in pairs]
    with symbolic_sizes.remembered():
        for _ in range(2):
            assert [described(operation(*pair)) for pair in pairs] == expected


def test_an_operation_is_computed_once():
    computed = []
    height, width = sizes(ShapeEnv(), 6, 10)
    original = SymNode._add

    def counted(left, right):
        computed.append((left, right))
        return original(left, right)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SymNode, "_add", counted)
        with symbolic_sizes.remembered():
            sums = [height + width for _ in range(3)]
            assert len(computed) == 1 and {described(size) for size in sums} == {described(sums[0])}
        _ = height + width
        assert len(computed) == 2 and SymNode._add is counted
    assert SymNode._add is original


def test_sizes_of_another_environment_are_others():
    with symbolic_sizes.remembered():
        for hint in (6, 8):
            environment = ShapeEnv()
            (height,) = sizes(environment, hint)
            doubled = height + height
            assert doubled.node.shape_env is environment and doubled.node.hint == 2 * hint


def test_a_size_that_becomes_known_is_another():
    """A guard that two sizes are equal replaces one of them."""
    height, width = sizes(ShapeEnv(), 6, 6)
    with symbolic_sizes.remembered():
        before = height * width
        assert before.node.expr != (height * height).node.expr
        assert bool(height == width)
        assert (height * width).node.expr == (height * height).node.expr
