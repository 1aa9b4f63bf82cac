"""Optimisation profiles of TensorRT plans: the shapes that a plan is built for.

A profile maps the names of a graph's dynamic axes to the smallest, optimal and largest size. The
sizes are those of the family's inputs for its smallest, usual and largest edits. Lanes are compared
with the first profile. Those of the other stages are in part_profiles.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, ValueInfoProto

from retouch.backends.base import CACHED
from retouch.families.base import Family, Size
from retouch.families.denoise_request import DenoiseRequest

Limits = tuple[int, int, int]
Profile = dict[str, Limits]
Shapes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

BATCHES = (1, 4)  # largest batches: one profile for a single edit, and one for two to four


@dataclass(frozen=True)
class Target:
    """The limits of every input in a profile, and a function that makes valid inputs for a check of
    the plan."""

    limits: dict[str, Shapes]
    trial: Callable[[], Mapping[str, np.ndarray]]


Targets = Callable[[str, ModelProto], list[Target]]  # the targets of a graph, by its name


def profiles(model: ModelProto, family: Family, batches: Sequence[int] = BATCHES) -> list[Profile]:
    """The profiles of a denoiser's graph, for all of the family's ranges of sizes and all groups of
    batches.

    ValueError when the family makes no input with an axis of the graph."""
    lows = [1] + [batch + 1 for batch in batches[:-1]]
    spans = [
        # the text before a further image may be shorter than that before the first
        dict(zip(axes[0], map(_sorted, zip(*(sizes.values() for sizes in axes)))))
        for axes in (
            [_axes(model, _inputs(model, family, span, which)) for which in range(3)]
            for span in family.size_ranges
        )
    ]
    return [
        {"batch": (low, high, high)} | span for span in spans for low, high in zip(lows, batches)
    ]


def shapes(model: ModelProto, profile: Profile) -> dict[str, Shapes]:
    """The smallest, optimal and largest shape of each input; ValueError when the profile lacks an
    axis."""

    def limit(graph_input: ValueInfoProto, which: int) -> tuple[int, ...]:
        axes = graph_input.type.tensor_type.shape.dim
        return tuple(_size(axis, profile, which, graph_input.name) for axis in axes)

    return {
        graph_input.name: (limit(graph_input, 0), limit(graph_input, 1), limit(graph_input, 2))
        for graph_input in model.graph.input
    }


def _sorted(sizes: tuple[int, ...]) -> Limits:
    low, usual, high = sorted(sizes)
    return low, usual, high


def _inputs(
    model: ModelProto, family: Family, span: tuple[Size, Size, Size], which: int
) -> dict[str, tuple[int, ...]]:
    """Shapes of the graph's inputs for the smallest (0), the usual (1) or the largest (2) edit of
    a span."""
    latents, conditioning_shapes = family.shapes(span[which], family.text_tokens[which])
    source = np.zeros(latents, np.float32)
    conditioning = {
        name: np.zeros(shape, np.float32) for name, shape in conditioning_shapes.items()
    }
    images = (source,) * (1 + (family.max_references if which == 2 else 0))
    tokens = family.pack(source)
    takes_parts = family.supports_regions or family.supports_region_cache
    cells = np.arange(1 if takes_parts and which == 0 else len(tokens))
    request = DenoiseRequest(
        source, conditioning, np.ones(len(tokens), bool), seed=0, extra_references=images[1:]
    )
    names = {graph_input.name for graph_input in model.graph.input}
    own = [*_cached_graphs(family, images, conditioning)]
    step = family.constant_inputs(request, conditioning, cells) | family.step_inputs(
        request, tokens[cells], np.float32(1)
    )
    last = own[-1] if own else {}
    cached = {name: shape for name, shape in last.items() if name in CACHED}
    text = {f"text_{name}": (1, 0, last["text"][1]) for name in cached if "text" in last}
    graphs = [*own, _shapes(step) | cached | text | _region_cache(family, request, which)]
    return next((inputs for inputs in graphs if names <= inputs.keys()), graphs[-1])


def _region_cache(
    family: Family, request: DenoiseRequest, which: int
) -> dict[str, tuple[int, ...]]:
    """Shapes of what a family with a region cache has beside: nothing is kept by default, and at
    most all tokens are. The smallest step is one on a region, without references."""
    if not family.supports_region_cache:
        return {}
    inputs = family.whole_inputs()
    if which == 0:
        inputs |= family.region_inputs(request, request.conditioning, np.arange(1))
    shapes = _shapes(inputs)
    if which == 2:
        tokens = len(family.others(request, np.arange(0)))
        _, layers, _, heads, size = shapes["past_k"]
        past = dict.fromkeys(("past_k", "past_v"), (1, layers, tokens, heads, size))
        shapes |= past | {"kept": (1, tokens)}
    return shapes


def _cached_graphs(
    family: Family, images: Sequence[np.ndarray], conditioning: dict[str, np.ndarray]
) -> Iterator[dict[str, tuple[int, ...]]]:
    """Shapes of the inputs of the graphs that keys and values come from: `reference`, and then
    `prefix` or, in a family without it, what `step` is passed on. The third axis of keys and values
    are their tokens."""
    if not family.caches_reference:
        return
    runs = [family.reference_inputs(run, conditioning) for run in family.reference_runs(images)]
    counts = [sum(run[name].shape[1] for name in ("text", "tokens") if name in run) for run in runs]
    past = {f"past_{name}": (1, 0, sum(counts[:-1])) for name in CACHED}
    yield _shapes(runs[-1]) | (past if family.is_block_causal else {})
    prefix = family.prefix_inputs(images, conditioning) if family.is_block_causal else {}
    yield _shapes(prefix) | dict.fromkeys(CACHED, (1, 0, sum(counts)))


def _shapes(inputs: dict[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in inputs.items()}


def _axes(model: ModelProto, input_shapes: dict[str, tuple[int, ...]]) -> dict[str, int]:
    """Sizes of the graph's dynamic axes, without the batch, for inputs of these shapes;
    ValueError."""
    sizes: dict[str, int] = {}
    for graph_input in model.graph.input:
        name = graph_input.name
        for place, axis in enumerate(graph_input.type.tensor_type.shape.dim):
            if axis.HasField("dim_value") or axis.dim_param == "batch":
                continue
            if place >= len(input_shapes.get(name, ())):
                raise ValueError(
                    f"the family makes no {name} with an axis "
                    f"{axis.dim_param or 'without a name'!r}"
                )
            size = input_shapes[name][place]
            if sizes.setdefault(axis.dim_param, size) != size:
                raise ValueError(
                    f"the inputs do not agree on the axis {axis.dim_param!r}: {name} has {size}"
                )
    return sizes


def _size(axis, profile: Profile, which: int, name: str) -> int:
    if axis.HasField("dim_value"):
        return axis.dim_value
    if axis.dim_param not in profile:
        raise ValueError(
            f"the input {name} has a dynamic axis {axis.dim_param or 'without a name'!r}; "
            f"the table of profiles knows {', '.join(profile)}"
        )
    return profile[axis.dim_param][which]
