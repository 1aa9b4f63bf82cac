"""Which attributes name an item of a picture so that no other item has the same name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from training.grammar.choices import weighted
from training.grammar.errors import GrammarError
from training.operation import Item
from training.vocabulary import KINDS, NONE


@dataclass(frozen=True)
class Description:
    """The attributes that a sentence says of an item; NONE is not said.

    `side` is "left", "right", "top" or "bottom", for items that differ in nothing else."""

    kind: str = NONE
    colour: str = NONE
    size: str = NONE
    side: str = NONE

    def fits(self, item: Item) -> bool:
        """Whether an item has the said attributes, the side left aside.

        A colour alone speaks of drawn shapes."""
        if self.kind == NONE and item.kind != NONE and item.kind not in KINDS:
            return False
        return (
            self.kind in (NONE, item.kind)
            and self.colour in (NONE, item.colour)
            and self.size in (NONE, item.size)
        )


# which attributes, and how often
_FORMS = ((4, "kc"), (1, "kcs"), (2, "k"), (1, "c"), (1, "ks"))
_USUAL = ("k", "kc", "kcs")


def describe(
    rng: Random, item: Item, items: Sequence[Item], absent: bool = False, plain: bool = False
) -> Description:
    """A description that fits `item` alone, or none of `items` if it is absent.

    Raises GrammarError if there is none."""
    expected = 0 if absent else 1
    if not absent and item not in items:
        raise GrammarError("the target is none of the picture's items")
    options = [
        (weight, form, description)
        for weight, form, description in _descriptions(item)
        if sum(map(description.fits, items)) == expected
    ]
    if not options:
        return _by_side(item, items, absent)
    if plain:
        usual = {form: description for _, form, description in options}
        return next((usual[form] for form in _USUAL if form in usual), options[0][2])
    return weighted(rng, [(weight, description) for weight, _, description in options])


def exactly(item: Item) -> Description:
    """The description that says all that is known of an item."""
    return Description(item.kind, item.colour, item.size)


@lru_cache(maxsize=65536)
def _descriptions(item: Item) -> tuple[tuple[int, str, Description], ...]:
    """Weight, form and description for every set of attributes that the item has."""
    attributes = {"k": item.kind, "c": item.colour, "s": item.size}
    names = {"k": "kind", "c": "colour", "s": "size"}
    return tuple(
        (weight, form, Description(**{names[letter]: attributes[letter] for letter in form}))
        for weight, form in _FORMS
        if all(attributes[letter] != NONE for letter in form)
    )


def _by_side(item: Item, items: Sequence[Item], absent: bool) -> Description:
    """The item among others of its kind and colour, by the side on which it lies."""
    rivals = [other for other in items if exactly(other) == exactly(item) and other is not item]
    if rivals and not absent:
        for axis, (low, high) in enumerate((("left", "right"), ("top", "bottom"))):
            centre = _centre(item, axis)
            others = [_centre(other, axis) for other in rivals]
            for side, gap in ((low, min(others) - centre), (high, centre - max(others))):
                if gap > 0.15:
                    return Description(item.kind, item.colour, side=side)
    raise GrammarError(f"no reference fits one {item.colour} {item.kind} alone")


def _centre(item: Item, axis: int) -> float:
    return (item.box[axis] + item.box[axis + 2]) / 2
