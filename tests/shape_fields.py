"""The fields of a parser that knows shapes alone: it says neither "nothing" nor "unknown"."""

from training.render import COLOURS, KINDS, PLACES, SIZES
from training.scenes import OPS

SHAPE_FIELDS = {
    name: ["none", *values]
    for name, values in (
        ("op", OPS),
        ("target_colour", COLOURS),
        ("target_kind", KINDS),
        ("target_size", SIZES),
        ("value_colour", COLOURS),
        ("value_kind", KINDS),
        ("value_size", SIZES),
        ("value_place", PLACES),
    )
}
