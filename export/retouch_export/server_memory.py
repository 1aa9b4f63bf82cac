"""GPU memory of a whole server, estimated by formulas: every model, its process, and the edits.

Formulas and their sources, for bfloat16 graphs of the stages and one size of images:

    weights      `retouch_export.sizes.lane_bytes`, by the policy of each stage in an export. The
                 parser and the connector have typed graphs for every lane. The autoencoder has 2
                 bytes a number, once
    process      PROCESS_BYTES: the CUDA context and the libraries of a model's process. A bare
                 context takes 128 to 256 MiB (pull request 9447 of InvokeAI), one with PyTorch's
                 kernels 781 MB (issue 34323 of PyTorch); between the two
    text         tokens · widest layer · 2 bytes · GATED: a gated MLP holds gate, up and product
    encode       at most as much as decoding
    decode       side² · channels · 2 bytes · DECODED, of `retouch_export.memory`
    edit         activations of a step and, where references are cached, keys and values: `memory`
    cache        keys and values of edited images, at most `reference_bytes` of the profile

GB are 10⁹ bytes. One edit at least must fit with every stage at its peak."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from retouch.api.lanes import LANES
from retouch.launcher.write_profiles import REFERENCE_BYTES
from retouch_export.memory import MOST, WIDE, Demand, Sizes, demand
from retouch_export.pipeline import Pipeline
from retouch_export.policy import POLICIES
from retouch_export.sizes import Shapes, lane_bytes

PROCESS_BYTES = 0.5e9
GATED = 3
DECODER = re.compile(r"^(decoder|post_quant_conv)\.")
ENCODER = re.compile(r"^(encoder|quant_conv)\.")
PARSER = "vl_parser"
CONNECTOR = "connector"
VAE_ENCODER = "vae_encoder"
VAE_DECODER = "vae_decoder"
DENOISER = "denoiser"
# components of a checkpoint
TRANSFORMER = "transformer"
VAE = "vae"


@dataclass(frozen=True)
class Size:
    """A GPU's memory, one of that size, and the lanes that it multiplies."""

    gigabytes: int
    example: str
    lanes: tuple[str, ...] = ("bf16", "fp8")


SIZES = (
    Size(24, "RTX 4090"),
    Size(48, "L40S"),
    Size(80, "H100"),
    Size(141, "H200"),
    Size(192, "B200", LANES),
)


@dataclass(frozen=True)
class Part:
    """A model of the server: its weights by lane, and its activations at their peak, in bytes. A
    model has its graphs once a lane, or once for all."""

    name: str
    weights: dict[str, int]
    activations: float = 0.0
    is_by_lane: bool = True

    def total(self, *lanes: str) -> float:
        """Bytes for these lanes, with its process; 0 for a model without weights."""
        weights = sum(self.weights[lane] for lane in (lanes if self.is_by_lane else lanes[:1]))
        return weights + self.activations + PROCESS_BYTES if weights else 0.0


@dataclass(frozen=True)
class Layout:
    """What to put where on a GPU: the lanes and the edits in a step, the models in host memory, and
    the bytes by model. No lanes: it does not fit."""

    gpu: str
    gigabytes: int
    side: int
    lanes: tuple[str, ...] = ()
    edits: int = 0
    on_host: tuple[str, ...] = ()
    cache_bytes: int = 0
    parts: dict[str, float] = field(default_factory=dict)

    @property
    def used(self) -> float:
        return sum(self.parts.values()) + self.cache_bytes


def parts(networks: Mapping[str, Shapes], pipeline: Pipeline, decoding: float) -> list[Part]:
    """The models beside the denoiser, of components and their shapes."""
    text = [
        shapes for name, shapes in networks.items() if name not in (TRANSFORMER, VAE, CONNECTOR)
    ]
    widest = max(map(_widest, text), default=0)
    connector = [networks[CONNECTOR]] if CONNECTOR in networks else []
    vae = networks.get(VAE, {})
    return [
        Part(PARSER, _by_lane(text, PARSER), pipeline.text_tokens * widest * WIDE * GATED),
        Part(CONNECTOR, _by_lane(connector, CONNECTOR)),
        Part(VAE_ENCODER, dict.fromkeys(LANES, _wide_bytes(vae, DECODER)), decoding, False),
        Part(VAE_DECODER, dict.fromkeys(LANES, _wide_bytes(vae, ENCODER)), decoding, False),
    ]


def layouts(
    networks: Mapping[str, Shapes],
    lanes: Mapping[str, Mapping[str, int]],
    pipeline: Pipeline,
    sizes: Sizes,
) -> Iterator[Layout]:
    """The best layout of every GPU of SIZES, for images of the pipeline's largest side. `lanes` are
    the transformer's bytes by lane and tier."""
    side = max(pipeline.sides)
    asked = demand(pipeline, sizes, side, 0, 0)
    stages = parts(networks, pipeline, asked.beside)
    denoiser = Part(DENOISER, {lane: sum(tiers.values()) for lane, tiers in lanes.items()})
    for size in SIZES:
        yield _best(Layout(size.example, size.gigabytes, side), size, stages, denoiser, asked)


def _best(empty: Layout, size: Size, stages: list[Part], denoiser: Part, asked: Demand) -> Layout:
    """All models on the GPU in the widest lane that fits; else the text models on the host."""
    cached = REFERENCE_BYTES if asked.kept else 0
    for on_host in ((), (PARSER,)):
        for lane in size.lanes:
            for cache_bytes in dict.fromkeys((cached, 0)):
                layout = replace(empty, on_host=on_host, cache_bytes=cache_bytes)
                layout = _placed(layout, (lane,), stages, denoiser, asked)
                if layout.edits:
                    return _with_more_lanes(layout, size, stages, denoiser, asked)
    return empty


def _with_more_lanes(
    layout: Layout, size: Size, stages: list[Part], denoiser: Part, asked: Demand
) -> Layout:
    """The layout with narrower lanes beside the first, as many as leave room for an edit."""
    for lane in size.lanes:
        if lane not in layout.lanes:
            wider = _placed(layout, (*layout.lanes, lane), stages, denoiser, asked)
            layout = wider if wider.edits else layout
    return layout


def _placed(
    layout: Layout, lanes: tuple[str, ...], stages: list[Part], denoiser: Part, asked: Demand
) -> Layout:
    """The layout with these lanes, each with text models of its precision."""
    loaded = {
        part.name: part.total(*lanes) for part in stages if part.name not in layout.on_host
    } | {f"{DENOISER}_{lane}": denoiser.total(lane) for lane in lanes}
    fixed = sum(loaded.values()) + layout.cache_bytes
    left = layout.gigabytes * 1e9 - fixed
    edits = max(0, min(MOST, int(left // asked.edit)))
    loaded = {name: count for name, count in loaded.items() if count}
    return replace(layout, lanes=lanes, edits=edits, parts=loaded | {"edits": edits * asked.edit})


def _by_lane(networks: list[Shapes], stage: str) -> dict[str, int]:
    """Bytes of a stage's networks in every lane."""
    policy = POLICIES[stage]
    return {
        lane: sum(sum(lane_bytes(shapes, lane, policy).values()) for shapes in networks)
        for lane in LANES
    }


def _wide_bytes(shapes: Shapes, without: re.Pattern) -> int:
    """Bytes in bfloat16 of the parameters whose names do not match."""
    return sum(
        WIDE * math.prod(shape) for name, shape in shapes.items() if not without.search(name)
    )


def _widest(shapes: Shapes) -> int:
    """Outputs of the widest linear layer in a block; 0 without one."""
    linear = (shape for name, shape in shapes.items() if len(shape) == 2 and _is_in_block(name))
    return max((shape[0] for shape in linear), default=0)


def _is_in_block(name: str) -> bool:
    return bool(re.search(POLICIES[PARSER].block, name))
