"""FLUX.1 Kontext's lanes: a tiny checkpoint's for real, calibrated over its own edits, and what the
real one's weigh."""

from __future__ import annotations

import copy
import json
from collections import Counter

import numpy as np
import onnx_ir as ir
import pytest
import torch
from diffusers import FluxTransformer2DModel
from PIL import Image

from exports import exported
from kontext_theirs import SENTENCES, Case
from kontext_tiny import SCHEDULER, make_pipeline
from retouch.artifacts.manifest import verify
from retouch.backends.onnx import OnnxBackend
from retouch.families.flux_kontext import sampling
from retouch.networks.flux_kontext import Step
from retouch.offline.text_encoder_loop import TextEncoderLoop
from retouch_export import graph as graph_module
from retouch_export.checkpoint import Checkpoint
from retouch_export.flux_kontext.denoiser import PART
from retouch_export.graph import Shape
from retouch_export.quantise import bytes_by_tier

LANES = ("bf16", "fp8", "fp4")
FULL_BLOCKS = 19
FULL_SINGLE_BLOCKS = 38
FULL_GIGABYTES = {"bf16": 23.8, "fp8": 12.0, "fp4": 8.2}
OTHERS = (Shape(1, 64, 48, 9, 0), Shape(3, 80, 80, 3, 0))


def outline(folder, **config):
    """A checkpoint without weights, as far as a denoiser's graphs need one."""
    for name, settings in (
        ("transformer", config),
        ("vae", {"block_out_channels": [1] * 4, "latent_channels": 16}),
    ):
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text(json.dumps(settings))
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULER))
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "FluxKontextPipeline"}))
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """In shards, with two calibration pairs."""
    folder = tmp_path_factory.mktemp("kontext") / "checkpoint"
    make_pipeline().save_pretrained(folder, max_shard_size="200KB")
    assert len(list((folder / "transformer").glob("*.safetensors"))) > 2
    (folder / "calibration").mkdir()
    lines = []
    for number, size in enumerate(((48, 64), (64, 32))):
        Image.fromarray(Case(size, 0, 0, number=number).pixels).save(
            folder / "calibration" / f"{number}.png"
        )
        lines.append(json.dumps({"image": f"{number}.png", "instruction": SENTENCES[number]}))
    (folder / "calibration" / "pairs.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def lanes(checkpoint):
    with pytest.MonkeyPatch.context() as small:
        small.setattr(sampling, "SIZES", ((48, 64), (64, 32)))
        small.setattr(
            graph_module, "LARGEST", 60_000
        )  # of the two text encoders' parameters T5's are more
        exported(checkpoint, "--repository", checkpoint.parent, "--precision", ",".join(LANES))
    return checkpoint.parent


@pytest.mark.parametrize("shape", OTHERS, ids=str)
def test_every_lane_is_near_diffusers(checkpoint, lanes, shape):
    """In bfloat16 too: diffusers multiplies the timestep and the guidance by 1000 in the network's
    own type."""
    model = FluxTransformer2DModel.from_pretrained(
        checkpoint / "transformer", torch_dtype=torch.bfloat16
    )
    step_inputs = PART.graphs(Checkpoint(checkpoint))[0].inputs(shape)
    with torch.no_grad():
        expected = Step(copy.deepcopy(model)).eval()(*step_inputs.values()).numpy()

    def error(lane):
        runner = OnnxBackend(lanes / f"denoiser_{lane}" / "1", "step")
        got = runner.run(**{name: value.numpy() for name, value in step_inputs.items()})["velocity"]
        return np.linalg.norm(got - expected) / np.linalg.norm(expected)

    errors = {lane: error(lane) for lane in LANES}
    assert errors["bf16"] < 0.02 and errors["fp8"] < 0.08 and errors["fp4"] < 0.25
    assert errors["bf16"] < errors["fp8"] < errors["fp4"]


def test_a_lane_says_what_it_is(lanes):
    manifest = verify(lanes / "denoiser_fp4" / "1")
    assert (manifest.family, manifest.precision) == ("flux-kontext", "fp4")
    assert set(manifest.weights) == {"bf16", "fp8", "nvfp4"}
    assert manifest.settings["recipe"] == {"rounding": "feedback", "tail": 1}, (
        "calibrated over whole edits"
    )
    ranges = json.loads((lanes / "denoiser_fp8" / "1" / "calibration.json").read_text())["step"]
    assert {name for name in ranges if "blocks" not in name} and min(ranges.values()) > 0


def test_what_a_graph_cannot_hold_lies_beside_it(lanes):
    files = {path.name for path in (lanes / "vl_parser" / "1").iterdir()}
    weights = {"clip.onnx", "clip.onnx.data", "t5.onnx", "t5.onnx.data"}
    assert files == {*weights, "tokenizer.json", "tokenizer_2.json", "manifest.json"}
    embeds = TextEncoderLoop(lanes).text_encoder.encode_text(SENTENCES[0], [])
    assert {name: value.shape for name, value in embeds.items()} == {
        "prompt_embeds": (40, 64),
        "pooled_prompt_embeds": (32,),
    }


def weights(graph, block=""):
    """Bytes by tier of a graph's weights, or of one block's alone."""
    model = ir.load(graph)
    for name in list(model.graph.initializers):
        if block not in name:
            del model.graph.initializers[name]
    return bytes_by_tier(model)


def test_the_real_one_has_the_bytes_that_its_lanes_promise(tmp_path):
    """By one block of each kind, and the last one, which is wider in FP4: blocks of a kind are
    alike. `python -m benchmarks.large flux` exports all 57."""
    blocks = {"model.transformer_blocks.0.": 1, "model.single_transformer_blocks.0.": 2}
    counts = dict(zip(("num_layers", "num_single_layers"), blocks.values()))
    checkpoint = outline(tmp_path / "checkpoint", **counts, guidance_embeds=True)
    options = ("--precision", "fp8,fp4", "--weightless", "--only", "denoiser")
    exported(checkpoint, "--repository", tmp_path, *options)

    def whole(lane):
        graph = tmp_path / f"denoiser_{lane}" / "1" / "step.onnx"
        total = Counter(weights(graph))
        for block, full in zip(blocks, (FULL_BLOCKS, FULL_SINGLE_BLOCKS)):
            one = weights(graph, block)
            assert one
            total.update({tier: (full - blocks[block]) * size for tier, size in one.items()})
        return total

    full = {lane: whole(lane) for lane in FULL_GIGABYTES}
    for lane, gigabytes in FULL_GIGABYTES.items():
        assert sum(full[lane].values()) / 1e9 == pytest.approx(gigabytes, rel=0.05)
    assert full["fp8"]["bf16"] == full["fp4"]["bf16"] < 0.01 * full["bf16"]["bf16"], (
        "embedders and final layers alone"
    )
