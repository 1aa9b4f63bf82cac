"""Memory of a whole server: the formulas by hand, and on published checkpoints' shapes."""

from __future__ import annotations

import json
import math

import pytest

from published_files import layouts as published
from retouch.api.lanes import LANES
from retouch_export.memory import MOST, Sizes, demand
from retouch_export.pipelines import PIPELINES
from retouch_export.server_memory import (
    PROCESS_BYTES,
    REFERENCE_BYTES,
    Layout,
    layouts,
    parts,
)
from retouch_export.sizes import lane_bytes
from retouch_export.summary import summary

KONTEXT = {
    "transformer": "flux_transformer",
    "text_encoder": "clip_l",
    "text_encoder_2": "t5_xxl",
    "vae": "flux_vae",
}
PIPELINE = PIPELINES["FluxKontextPipeline"]
FLUX = Sizes("FluxTransformer2DModel", 3072, 57)


def shapes_of(table):
    """Shapes of a published network's parameters."""
    return {
        name: shape for name, (kind, shape) in published(table)[0].tensors.items() if kind != "I64"
    }


@pytest.fixture(scope="module")
def kontext():
    return {component: shapes_of(table) for component, table in KONTEXT.items()}


@pytest.fixture(scope="module")
def by_size(kontext):
    lanes = {lane: lane_bytes(kontext["transformer"], lane) for lane in LANES}
    return {layout.gigabytes: layout for layout in layouts(kontext, lanes, PIPELINE, FLUX)}


def count(shapes):
    return sum(map(math.prod, shapes.values()))


@pytest.mark.parametrize(
    "component, billions",
    [("transformer", 11.90), ("text_encoder_2", 4.76), ("text_encoder", 0.123), ("vae", 0.084)],
)
def test_published_parameters(kontext, component, billions):
    assert count(kontext[component]) / 1e9 == pytest.approx(billions, rel=0.005)


def text_bytes(shapes, lane):
    (parser, *_) = parts({"text_encoder": shapes}, PIPELINE, 0)
    return parser.weights[lane]


def test_bytes_of_a_text_model():
    """Linear layers in a block are narrow; embeddings, norms, heads and a vision tower are not. In
    fp4 the last block is FP8, and so is the layer that ends an MLP."""
    shapes = {
        "embed_tokens.weight": (100, 32),
        "layers.0.mlp.up_proj.weight": (64, 32),
        "layers.0.mlp.down_proj.weight": (32, 64),
        "layers.1.mlp.up_proj.weight": (64, 32),
        "layers.0.norm.weight": (32,),
        "visual.blocks.0.mlp.weight": (16, 32),
        "lm_head.weight": (100, 32),
    }
    wide = 2 * (3200 + 32 + 512 + 3200)
    assert text_bytes(shapes, "bf16") == wide + 2 * 3 * 2048
    assert text_bytes(shapes, "fp8") == wide + 3 * 2048
    assert text_bytes(shapes, "fp4") == wide + 2 * 2048 + 1024 + 64 * 2


def test_bytes_of_t5_xxl(kontext):
    """Its embedding of 32,128 × 4,096 numbers stays wide."""
    t5 = kontext["text_encoder_2"]
    embedding = 32128 * 4096
    assert text_bytes(t5, "bf16") == 2 * count(t5)
    assert text_bytes(t5, "fp8") == pytest.approx(count(t5) + embedding, rel=1e-3)
    # of 24 blocks the last is FP8, and of 193 M numbers in a block the 42 M of `wo`
    block = 4 * 4096**2 + 3 * 4096 * 10240
    narrow = 23 * (block - 4096 * 10240)
    assert text_bytes(t5, "fp4") == pytest.approx(
        count(t5) + embedding - narrow * (0.5 - 1 / 16), rel=1e-3
    )


def test_the_models_of_kontext(kontext):
    decoding = 1024**2 * 128 * 2 * 6.1
    models = {part.name: part for part in parts(kontext, PIPELINE, decoding)}
    assert set(models) == {"vl_parser", "connector", "vae_encoder", "vae_decoder"}
    text = count(kontext["text_encoder"]) + count(kontext["text_encoder_2"])
    assert models["vl_parser"].weights["bf16"] == 2 * text
    # 512 tokens, a gated MLP of 10,240 numbers
    assert models["vl_parser"].activations == 512 * 10240 * 2 * 3
    halves = [models[name].weights["bf16"] for name in ("vae_encoder", "vae_decoder")]
    # a FLUX.1 autoencoder has 34.3 M parameters in its encoder and 49.5 M in its decoder
    assert sum(halves) == 2 * count(kontext["vae"])
    assert halves[0] / 2e6 == pytest.approx(34.3, abs=0.2)
    assert halves[1] / 2e6 == pytest.approx(49.5, abs=0.2)
    assert models["vae_decoder"].total("bf16") == halves[1] + decoding + PROCESS_BYTES
    assert models["connector"].total("bf16") == 0  # no weights: Kontext has no connector


def test_what_to_put_where(by_size):
    assert set(by_size) == {24, 48, 80, 141, 192}
    assert (by_size[24].lanes, by_size[24].on_host) == (("fp8",), ())
    assert (by_size[48].lanes, by_size[48].edits) == (("bf16",), 9)
    assert by_size[80].lanes == by_size[141].lanes == ("bf16", "fp8")
    assert by_size[192].lanes == LANES and by_size[192].edits == MOST
    for layout in by_size.values():
        assert layout.used <= layout.gigabytes * 1e9
        assert layout.cache_bytes == 0  # Kontext's reference is in every step


def test_the_sum_by_hand(by_size):
    """80 GB: two lanes with their text models, encoder and decoder in bf16, and five processes."""
    layout = by_size[80]
    weights = 2 * (11.901e9 + 4.762e9 + 0.123e9 + 0.084e9) + 11.97e9 + 4.894e9 + 0.161e9
    activations = 2 * 1.637e9 + 0.031e9
    edits = layout.edits * 8704 * 3072 * 2 * 17.3
    assert layout.used == pytest.approx(weights + activations + edits + 5 * PROCESS_BYTES, rel=2e-3)


def test_text_models_go_to_the_host_where_nothing_else_fits(kontext):
    lanes = {"fp8": {"fp8": 17_000_000_000}, "bf16": {"bf16": 34_000_000_000}, "fp4": {"nvfp4": 1}}
    smallest = next(layouts(kontext, lanes, PIPELINE, FLUX))
    assert (smallest.lanes, smallest.on_host) == (("fp8",), ("vl_parser",))
    assert "vl_parser" not in smallest.parts
    huge = {lane: {lane: 10**12} for lane in LANES}
    assert {layout.lanes for layout in layouts(kontext, huge, PIPELINE, FLUX)} == {()}


def test_cached_references_are_counted():
    klein = PIPELINES["Flux2KleinKVPipeline"]
    sizes = Sizes("Flux2Transformer2DModel", 4096, 32)
    kept = demand(klein, sizes, 1024, 0, 0).kept
    assert kept == 32 * 2 * 4096 * 4096 * 2
    networks = {"text_encoder": shapes_of("qwen3_8b"), "vae": shapes_of("flux2_vae")}
    lanes = {lane: lane_bytes(shapes_of("flux2_klein_9b"), lane) for lane in LANES}
    by_size = {layout.gigabytes: layout for layout in layouts(networks, lanes, klein, sizes)}
    assert by_size[141].cache_bytes == REFERENCE_BYTES == 8 << 30
    # without room for the cache an edit still runs
    assert by_size[48].cache_bytes == 0 and by_size[48].edits >= 1


def test_the_command_has_them(tmp_path):
    """A checkpoint of published headers, of which no file has content."""
    listed = {"_class_name": "FluxKontextPipeline"}
    for component, table in KONTEXT.items():
        layout = published(table)[0]
        layout.write(tmp_path / component)
        listed[component] = [layout.table["library"], layout.table["class"]]
    (tmp_path / "model_index.json").write_text(json.dumps(listed))
    report = summary(tmp_path)
    assert [layout.gigabytes for layout in report.layouts] == [24, 48, 80, 141, 192]
    assert all(isinstance(layout, Layout) for layout in report.layouts)
    assert json.loads(json.dumps(report.to_json()))["layouts"][0]["lanes"] == ["fp8"]
