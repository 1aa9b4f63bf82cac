"""Typed graphs of the stages around the denoiser: where they lie, which are planned, which layers
are narrow, and which serve beside a lane."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retouch.api.lanes import LANES
from retouch.artifacts.manifest import FLOAT32, ArtifactError, Manifest, publish
from retouch.artifacts.typed_folder import exported_folder, precision_in, typed_folder
from retouch.serving.part_precision import PartPrecision, served_parts
from retouch_export import calibrate_parts, ranges
from retouch_export.parts import TypedStage, typed_stages_of
from retouch_export.policy import CONNECTOR, LANGUAGE, Tier, tier_of, tiers
from retouch_export.staleness import sources_of

QWEN = "language_model.layers.3."
T5 = "encoder.block.1.layer.1.DenseReluDense."


def artifact(folder, precision, arithmetic, checkpoint="c" * 64, graph="text.onnx"):
    """A folder with a manifest and an empty graph."""
    staging = folder.parent / ".partial"
    staging.mkdir(parents=True)
    folder.mkdir(exist_ok=True)
    if graph:
        (staging / graph).touch()
    publish(staging, folder, Manifest("flux-kontext", checkpoint, precision, arithmetic, 20))
    staging.rmdir()
    return folder


@pytest.fixture
def parser(tmp_path):
    """The version folder of a parser in float32, with graphs in fp8 beside it."""
    folder = artifact(tmp_path / "vl_parser" / "1", "bf16", FLOAT32)
    artifact(typed_folder(folder, "fp8"), "fp8", "E4M3, bfloat16")
    return folder


def test_parts_of_narrow_precisions_are_made_from_wide_ones(tmp_path):
    names = [(stage.name, precision) for stage, precision in typed_stages_of("instructx", ["fp8"])]
    assert names == [
        ("vl_parser", "bf16"),
        ("vl_parser", "fp8"),
        ("connector", "bf16"),
        ("connector", "fp8"),
        ("vae_encoder", "bf16"),
        ("vae_decoder", "bf16"),
    ]
    assert typed_stages_of("instructx", []) == []
    stage = TypedStage("vl_parser", "instructx")
    assert stage.folder(tmp_path, "fp8") == tmp_path / "vl_parser" / "1" / "fp8"
    assert "retouch_export.calibrate_parts" in sources_of(stage, "fp8")
    assert "retouch_export.calibrate_parts" not in sources_of(stage, "bf16")


@pytest.mark.parametrize(
    "module, fp8, fp4",
    [
        (f"{QWEN}self_attn.q_proj", Tier.FP8, Tier.NVFP4),
        (f"{QWEN}mlp.down_proj", Tier.FP8, Tier.FP8),
        ("model.layers.0.mlp.up_proj", Tier.FP8, Tier.NVFP4),
        (f"{T5}wi_0", Tier.FP8, Tier.NVFP4),
        (f"{T5}wo", Tier.FP8, Tier.FP8),
        ("text_model.encoder.layers.0.mlp.fc1", Tier.FP8, Tier.FP8),
        ("encoder.layers.0.self_attn.k_proj", Tier.FP8, Tier.FP8),
        ("visual.blocks.0.mlp.gate_proj", Tier.BF16, Tier.BF16),
        ("visual.blocks.0.mlp.down_proj", Tier.BF16, Tier.BF16),
        ("visual.merger.mlp.0", Tier.BF16, Tier.BF16),
        ("parser_heads.labels", Tier.BF16, Tier.BF16),
    ],
)
def test_language_layers_are_narrow_and_the_rest_wide(module, fp8, fp4):
    assert tier_of(module, "fp8", LANGUAGE) is fp8
    assert tier_of(module, "fp4", LANGUAGE) is fp4
    assert tier_of(module, "bf16", LANGUAGE) is Tier.BF16


def test_the_last_language_layer_is_fp8():
    modules = [f"language_model.layers.{index}.self_attn.q_proj" for index in range(3)]
    chosen = tiers(modules, "fp4", 1, LANGUAGE)
    assert [chosen[module] for module in modules] == [Tier.NVFP4, Tier.NVFP4, Tier.FP8]
    assert tier_of("up", "fp4", CONNECTOR) is tier_of("down", "fp8", CONNECTOR) is Tier.FP8


def test_a_calibration_file_may_hold_several_stages(tmp_path):
    file = tmp_path / "ranges.json"
    file.write_text(json.dumps({"step": {"a": 1.0}, "text": {"b": 2.0}}))
    stage = TypedStage("vl_parser", "flux2-klein-kv")
    artifact(stage.folder(tmp_path, "bf16").parent, "bf16", FLOAT32)
    wide = artifact(stage.folder(tmp_path, "bf16"), "bf16", "bfloat16")
    known = calibrate_parts.known(tmp_path, [stage], file)
    assert known["vl_parser"]["text"]["b"].largest == 2.0 and set(known["vl_parser"]) == {"text"}
    (wide / "vision.onnx").touch()
    assert calibrate_parts.known(tmp_path, [stage], file) == {}, "one graph has no ranges"
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"text": {"b": 2.0}}))
    assert ranges.alike(own, file)
    own.write_text(json.dumps({"text": {"b": 3.0}}))
    assert not ranges.alike(own, file)


def test_what_serves_is_named_by_its_manifest(parser):
    assert precision_in(parser) == "float32" and exported_folder(parser, "") == parser
    precision = PartPrecision.parse("bf16:,fp8:fp8", parser)
    parts = served_parts(parser, precision, lambda path: path, LANES)
    assert parts("bf16-sketch").parts == {"vl_parser": "float32"}
    assert parts("fp8").stage == parser / "fp8"
    assert parts("fp8").parts == {"vl_parser": "fp8"}
    assert parts("fp4").stage == parser, "a lane without a pair has the first"


def test_what_is_exported_serves_beside_its_lane(parser):
    parts = served_parts(parser, PartPrecision.parse("auto", parser), str, ("bf16", "fp8"))
    assert parts("fp8-sketch").parts == {"vl_parser": "fp8"}
    assert parts("bf16").stage == str(parser)
    assert PartPrecision.parse("fp8", parser).of("bf16") == "fp8"


def test_a_stage_without_graphs_names_no_precision(tmp_path):
    folder = artifact(tmp_path / "connector" / "1", "bf16", FLOAT32, graph="")
    assert served_parts(folder, PartPrecision.parse("", folder), str, LANES)("bf16").parts == {}


def test_typed_graphs_that_are_missing_or_of_another_checkpoint(parser):
    with pytest.raises(ArtifactError, match="vl_parser has no graphs in fp4; run `retouch export"):
        exported_folder(parser, "fp4")
    artifact(typed_folder(parser, "bf16"), "bf16", "bfloat16", checkpoint="d" * 64)
    with pytest.raises(ArtifactError, match="vl_parser in bf16 is of another checkpoint"):
        exported_folder(parser, "bf16")


@pytest.mark.parametrize("text", ["fp16", "fp8:int4", "fast:fp8", "fp8,fp4"])
def test_a_precision_that_is_none(text):
    with pytest.raises(
        ValueError, match="the parameter precision has .*it must be empty, auto, bf16"
    ):
        PartPrecision.parse(text, Path("1"))
