"""What the checkpoint learns of what the grammar can say. The rest is taught as unknown."""

import random
from collections.abc import Sequence

from training import grammar
from training.kinds import learnt, names
from training.operation import Item, Operation
from training.vocabulary import HUES, KINDS, MARKS

UNKNOWN = (Operation("unknown"),)
# operations on cut-outs; the network cannot draw one that it does not see in its place
ON_CUT_OUTS = ("remove", "recolour")

# operations, parts of a picture and kinds of targets, of which too few succeed in `make eval`; the
# parser reads them all the same
UNSUPPORTED: tuple[str, ...] = (
    "replace",
    "add",
    "resize",
    "background",
    "posterise",
    "pixelate",
    "blur",
    "colour parts",
    "other colours",
    *names(),
    *MARKS,
)


def within(operation: Operation) -> bool:
    """Whether the checkpoint learns to do this operation."""
    items = [item for item in (operation.target, operation.result) if item]
    if all(_is_drawn(item) for item in items):
        return True
    if operation.op == "recolour":
        return operation.result is not None and operation.result.colour in HUES
    return operation.op in ON_CUT_OUTS


def names_supported(operation: Operation) -> bool:
    """Whether the target's kind and the part of the picture are supported; the op is not asked."""
    kind = operation.target and operation.target.kind
    return {kind, operation.where}.isdisjoint(UNSUPPORTED)


def makes(operations: Sequence[Operation]) -> bool:
    """Whether enough edits of these operations, which it learns, succeed."""
    return all(row.op not in UNSUPPORTED and names_supported(row) for row in operations)


def draw_text(rng: random.Random) -> tuple[str, tuple[Operation, ...]]:
    """A random sentence and its operations, as the checkpoint shall understand them."""
    sentence, operations = grammar.draw_text(rng, learnt())
    return sentence, in_scope(operations)


def in_scope(operations: Sequence[Operation]) -> tuple[Operation, ...]:
    """The operations, or the unknown one where the checkpoint does not learn them all."""
    return tuple(operations) if all(within(operation) for operation in operations) else UNKNOWN


def _is_drawn(item: Item) -> bool:
    return item.kind in KINDS or item.kind == "none"
