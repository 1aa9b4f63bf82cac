"""Which shapes a TensorRT plan is built for: a table of optimisation profiles.

A profile maps the names of a graph's dynamic axes to the smallest, favoured and largest number; the
graph says which axis of which input has which name. The numbers are those of the inputs that the
family itself makes for its smallest, its usual and its largest edits. The first profile is the one
that lanes are compared by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import ModelProto

from retouch.families.base import Family, Size
from retouch.families.denoise_request import DenoiseRequest

Limits = tuple[int, int, int]
Profile = dict[str, Limits]
Shapes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

BATCHES = (1, 4)  # largest batches: a profile for one edit alone, and one for two to four


def profiles(model: ModelProto, family: Family, batches: Sequence[int] = BATCHES) -> list[Profile]:
    """Of a denoiser's graph: one for each of the family's spans of sizes and each group of batches.
    ValueError when an axis is not one of the family's inputs."""
    lows = [1] + [batch + 1 for batch in batches[:-1]]
    spans = [
        dict(zip(axes[0], zip(*(each.values() for each in axes))))
        for axes in (
            [_axes(model, _inputs(model, family, span, which)) for which in range(3)]
            for span in family.size_ranges
        )
    ]
    return [
        {"batch": (low, high, high)} | span for span in spans for low, high in zip(lows, batches)
    ]


def shapes(model: ModelProto, profile: Profile) -> dict[str, Shapes]:
    """The smallest, favoured and largest shape of each input; ValueError when an axis has no
    limits."""
    return {
        given.name: tuple(
            tuple(
                _size(axis, profile, which, given.name) for axis in given.type.tensor_type.shape.dim
            )
            for which in range(3)
        )
        for given in model.graph.input
    }


def _inputs(
    model: ModelProto, family: Family, span: tuple[Size, Size, Size], which: int
) -> dict[str, tuple[int, ...]]:
    """Shapes of what the graph takes for the smallest (0), the usual (1) or the largest (2) edit of
    a span."""
    size = span[which]
    words = family.text_tokens[which]
    latents, told = family.shapes(size, words)
    source = np.zeros(latents, np.float32)
    said = {name: np.zeros(shape, np.float32) for name, shape in told.items()}
    more = (source,) * (family.max_references if which == 2 else 0)
    tokens = family.pack(source)
    cells = np.arange(1 if family.supports_regions and which == 0 else len(tokens))
    wanted = DenoiseRequest(source, said, np.ones(len(tokens), bool), seed=0, extra_references=more)
    reference = family.reference_inputs(source, *more) if family.caches_reference else {}
    if reference.keys() == {given.name for given in model.graph.input}:
        given = reference
    else:
        given = family.constant_inputs(wanted, said, cells) | family.step_inputs(
            wanted, tokens[cells], np.float32(1)
        )
    kept = (
        (1, 0, *reference["tokens"].shape[1:2]) if reference else ()
    )  # of keys and values the third axis are tokens
    return dict.fromkeys(("k", "v"), kept) | {name: array.shape for name, array in given.items()}


def _axes(model: ModelProto, given: dict[str, tuple[int, ...]]) -> dict[str, int]:
    """The graph's dynamic axes but the batch by name, in their numbers in inputs of these shapes;
    ValueError."""
    found: dict[str, int] = {}
    for each in model.graph.input:
        for place, axis in enumerate(each.type.tensor_type.shape.dim):
            if axis.HasField("dim_value") or axis.dim_param == "batch":
                continue
            if place >= len(given.get(each.name, ())):
                raise ValueError(
                    f"the family makes no {each.name} with an axis {axis.dim_param or 'without a name'!r}"
                )
            number = given[each.name][place]
            if found.setdefault(axis.dim_param, number) != number:
                raise ValueError(
                    f"the inputs do not agree on the axis {axis.dim_param!r}: {each.name} has {number}"
                )
    return found


def _size(axis, profile: Profile, which: int, name: str) -> int:
    if axis.HasField("dim_value"):
        return axis.dim_value
    if axis.dim_param not in profile:
        raise ValueError(
            f"the input {name} has a dynamic axis {axis.dim_param or 'without a name'!r}; the table of "
            f"profiles knows {', '.join(profile)}"
        )
    return profile[axis.dim_param][which]
