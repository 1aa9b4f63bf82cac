"""Optimisation profiles of the plans of parser, connector and autoencoder: the shapes that their
stages run, and inputs for the checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from onnx import ModelProto

from retouch.backends.batches import LARGEST
from retouch.families.base import Family
from retouch.families.registry import family_of
from retouch_export.autoencoder_boxes import Box, boxes
from retouch_export.checkpoint import Checkpoint
from retouch_export.edit_sizes import edit_sizes
from retouch_export.graph import Graph, Shape
from retouch_export.parts import DENOISER, Part, Stage, TypedStage
from retouch_export.tensorrt_profiles import Limits, Profile, Target, Targets, shapes

BATCH = "batch"
BATCHES = ((1, 1), (2, LARGEST))  # rows of a run of a text model
SIDES = {"height", "width"}  # axes of an autoencoder's graphs


@dataclass(frozen=True)
class PartProfile:
    """A profile, and a usual shape in it, with the smallest batch."""

    limits: Profile
    usual: Shape


def targets_of(stage: TypedStage, checkpoint: Checkpoint) -> Targets:
    """The targets of the plans of a stage, by graph."""
    part = stage.part()
    settings = Stage(DENOISER, stage.family).part().settings(checkpoint)
    table = part_profiles(part, checkpoint, family_of(stage.family, settings))
    graphs = {graph.name: graph for graph in part.typed_graphs(checkpoint)}

    def targets(name: str, model: ModelProto) -> list[Target]:
        return [
            Target(shapes(model, profile.limits), _trial(graphs[name], profile.usual))
            for profile in table[name]
        ]

    return targets


def part_profiles(
    part: Part, checkpoint: Checkpoint, family: Family
) -> dict[str, list[PartProfile]]:
    """The profiles of every graph of a part, one for a single row of the usual shape first."""
    return {
        graph.name: _of_autoencoder(graph, family)
        if _is_autoencoder(graph)
        else _of_text(graph, part.shapes(checkpoint, family, graph.name))
        for graph in part.typed_graphs(checkpoint)
    }


def _is_autoencoder(graph: Graph) -> bool:
    return any(set(axes.values()) >= SIDES for axes in graph.axes.values())


def _of_autoencoder(graph: Graph, family: Family) -> list[PartProfile]:
    """One profile a box of sizes."""
    _, usual, _ = family.size_ranges[0]
    return [_of_box(graph, box) for box in boxes(edit_sizes(family), usual)]


def _of_box(graph: Graph, box: Box) -> PartProfile:
    low, usual, high = (Shape(box.batch[0], *size, 1, 0) for size in box.sizes)
    return _profile(graph, (usual, low, high), box.batch)


def _of_text(graph: Graph, some: Sequence[Shape]) -> list[PartProfile]:
    """One profile a group of batches, for shapes of which the first is the usual one."""
    return [
        _profile(graph, [replace(shape, batch=batch[0]) for shape in some], batch)
        for batch in BATCHES
    ]


def _profile(graph: Graph, some: Sequence[Shape], batch: tuple[int, int]) -> PartProfile:
    """The profile of all of these shapes, of which the first is the usual one."""
    usual, *others = (_axes(graph, replace(shape, batch=1)) for shape in some)
    limits: dict[str, Limits] = {BATCH: (batch[0], batch[1], batch[1])}
    for axis, size in usual.items():
        sizes = [size, *(other[axis] for other in others)]
        limits[axis] = min(sizes), size, max(sizes)
    return PartProfile(limits, some[0])


def _axes(graph: Graph, shape: Shape) -> dict[str, int]:
    """Sizes of the graph's dynamic axes for inputs of this shape, without the batch."""
    inputs = graph.inputs(shape)
    return {
        axis: inputs[name].shape[place]
        for name, axes in graph.axes.items()
        if name in inputs
        for place, axis in axes.items()
        if axis != BATCH
    }


def _trial(graph: Graph, shape: Shape) -> Callable[[], Mapping[str, np.ndarray]]:
    return lambda: {name: value.numpy() for name, value in graph.inputs(shape).items()}
