"""Which shapes a TensorRT plan is built for: a table of optimisation profiles.

A profile maps the names of a graph's dynamic axes to the smallest, favoured and largest number; the graph says which
axis of which input has which name. The first profile is the one that lanes are compared by.
"""

from __future__ import annotations

from collections.abc import Sequence

from onnx import ModelProto

from retouch.types import BUCKETS, CELL

Limits = tuple[int, int, int]
Profile = dict[str, Limits]
Shapes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

BATCHES = (1, 4)  # largest batches: a profile for one edit alone, and one for two to four


def family(buckets: Sequence[tuple[int, int]] = BUCKETS, batches: Sequence[int] = BATCHES) -> list[Profile]:
    """Profiles of a K/V family, largest bucket first: `cells` is exact, `region` any part of them.

    Buckets with as many cells as one another (96×160 and 160×96) share their profiles.
    """
    counts = sorted({height // CELL * (width // CELL) for height, width in buckets}, reverse=True)
    lows = [1] + [batch + 1 for batch in batches[:-1]]
    return [{"batch": (low, high, high), "cells": (cells, cells, cells), "region": (1, cells, cells)}
            for cells in counts for low, high in zip(lows, batches)]


def shapes(model: ModelProto, profile: Profile) -> dict[str, Shapes]:
    """The smallest, favoured and largest shape of each input; ValueError when an axis has no limits."""
    return {given.name: tuple(
        tuple(_size(axis, profile, which, given.name) for axis in given.type.tensor_type.shape.dim)
        for which in range(3)) for given in model.graph.input}


def _size(axis, profile: Profile, which: int, name: str) -> int:
    if axis.HasField("dim_value"):
        return axis.dim_value
    if axis.dim_param not in profile:
        raise ValueError(f"the input {name} has a dynamic axis {axis.dim_param or 'without a name'!r}; the table of "
                         f"profiles knows {', '.join(profile)}")
    return profile[axis.dim_param][which]
