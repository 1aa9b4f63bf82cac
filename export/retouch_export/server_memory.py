"""GPU memory of a whole server, estimated by formulas: every model, its process, and the edits.

Formulas and their sources, for bfloat16 graphs of the stages and one size of images:

    weights      2 bytes a number. A text model's linear layers take 1 byte in fp8, and in fp4 half
                 a byte and an E4M3 scale for every 16 numbers. Its embeddings and its vision tower
                 stay in bfloat16, as do the connector and the autoencoder
    transformer  `retouch_export.sizes.lane_bytes`, which follows the policy of the export
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
from retouch_export.formats import BLOCK
from retouch_export.memory import MOST, WIDE, Demand, Sizes, demand
from retouch_export.pipeline import Pipeline
from retouch_export.sizes import Shapes

PROCESS_BYTES = 0.5e9
GATED = 3
# parameters of text models that stay wide: embeddings, output head, vision tower, heads of a parser
WIDE_NAMES = re.compile(r"(^|\.)(shared|embed\w*|\w*embeddings?|lm_head|visual|vision\w*)(\.|$)")
DECODER = re.compile(r"^(decoder|post_quant_conv)\.")
ENCODER = re.compile(r"^(encoder|quant_conv)\.")
PARSER = "vl_parser"
CONNECTOR = "connector"
VAE_ENCODER = "vae_encoder"
VAE_DECODER = "vae_decoder"
DENOISER = "denoiser"


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
    """A model of the server: its weights by lane, and its activations at their peak, in bytes."""

    name: str
    weights: dict[str, int]
    activations: float = 0.0

    def total(self, lane: str) -> float:
        """Bytes with its process; 0 for a model without weights."""
        weights = self.weights.get(lane, 0)
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
    text: dict[str, int] = dict.fromkeys(LANES, 0)
    widest = 0
    sizes = {CONNECTOR: 0, VAE_ENCODER: 0, VAE_DECODER: 0}
    for component, shapes in networks.items():
        if component == "transformer":
            continue
        if component == "vae":
            sizes[VAE_ENCODER] += _wide_bytes(shapes, without=DECODER)
            sizes[VAE_DECODER] += _wide_bytes(shapes, without=ENCODER)
        elif component == CONNECTOR:
            sizes[CONNECTOR] += _wide_bytes(shapes)
        else:
            for lane in LANES:
                text[lane] += text_bytes(shapes, lane)
            widest = max(widest, _widest(shapes))
    peaks = {
        PARSER: pipeline.text_tokens * widest * WIDE * GATED,
        VAE_ENCODER: decoding,
        VAE_DECODER: decoding,
    }
    weights: dict[str, dict[str, int]] = {PARSER: text}
    for name, size in sizes.items():
        weights[name] = {lane: size for lane in LANES}
    return [Part(name, by_lane, peaks.get(name, 0.0)) for name, by_lane in weights.items()]


def text_bytes(shapes: Shapes, lane: str) -> int:
    """Bytes of a text model's weights in a lane."""
    return sum(
        _bytes(shape, lane if _is_narrow(name, shape) else "bf16") for name, shape in shapes.items()
    )


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
    """The layout with these lanes. The text models have the first one's precision."""
    loaded = {
        part.name: part.total(lanes[0]) for part in stages if part.name not in layout.on_host
    } | {f"{DENOISER}_{lane}": denoiser.total(lane) for lane in lanes}
    fixed = sum(loaded.values()) + layout.cache_bytes
    left = layout.gigabytes * 1e9 - fixed
    edits = max(0, min(MOST, int(left // asked.edit)))
    loaded = {name: count for name, count in loaded.items() if count}
    return replace(layout, lanes=lanes, edits=edits, parts=loaded | {"edits": edits * asked.edit})


def _is_narrow(name: str, shape: tuple[int, ...]) -> bool:
    return name.endswith(".weight") and len(shape) == 2 and not WIDE_NAMES.search(name)


def _bytes(shape: tuple[int, ...], lane: str) -> int:
    count = math.prod(shape)
    if lane == "bf16":
        return WIDE * count
    return count if lane == "fp8" else count // 2 + shape[0] * math.ceil(shape[1] / BLOCK)


def _wide_bytes(shapes: Shapes, without: re.Pattern | None = None) -> int:
    return sum(
        _bytes(shape, "bf16")
        for name, shape in shapes.items()
        if without is None or not without.search(name)
    )


def _widest(shapes: Shapes) -> int:
    """Outputs of the widest linear layer that narrow lanes have; 0 without one."""
    return max((shape[0] for name, shape in shapes.items() if _is_narrow(name, shape)), default=0)
