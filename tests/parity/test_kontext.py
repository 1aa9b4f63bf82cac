"""FLUX.1 Kontext's transformer: a tiny one for real, and what the real one weighs."""

from __future__ import annotations

import copy
import json

import numpy as np
import onnx_ir as ir
import pytest
import torch
from diffusers import FluxTransformer2DModel
from exports import exported

from export.kontext import Step
from export.quantise import bytes_by_tier
from retouch.manifest import verify
from retouch.runners.onnx import OnnxRunner

TINY = dict(in_channels=64, num_layers=1, num_single_layers=2, attention_head_dim=32, num_attention_heads=2,
            joint_attention_dim=64, pooled_projection_dim=32, guidance_embeds=True, axes_dims_rope=(8, 12, 12))
FULL_BLOCKS, FULL_SINGLE_BLOCKS = 19, 38
FULL_GIGABYTES = {"bf16": 23.8, "fp8": 12.0, "fp4": 8.2}


def write(folder, **config):
    """A checkpoint without weights."""
    (folder / "transformer").mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "FluxKontextPipeline"}))
    (folder / "transformer" / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return FluxTransformer2DModel(**TINY).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def lanes(model, tmp_path_factory):
    """Its lanes, from shards in float32 and a calibration file."""
    folder = tmp_path_factory.mktemp("kontext")
    write(folder / "checkpoint", **TINY)
    model.save_pretrained(folder / "checkpoint" / "transformer", max_shard_size="100KB")
    assert len(list((folder / "checkpoint" / "transformer").glob("*.safetensors"))) > 2
    names = [name for name, _ in model.named_modules()]
    (folder / "ranges.json").write_text(json.dumps({"step": dict.fromkeys(names, 4.0)}))
    exported(folder / "checkpoint", "--repository", folder / "repository", "--precision", "bf16,fp8,fp4",
             "--calibration", folder / "ranges.json")
    return folder / "repository"


def inputs(batch, cells, words):
    generator = torch.Generator().manual_seed(batch * cells + words)
    return {"tokens": torch.randn(batch, cells, 64, generator=generator),
            "text": torch.randn(batch, words, 64, generator=generator),
            "pooled": torch.randn(batch, 32, generator=generator), "timestep": torch.linspace(0.9, 0.2, batch),
            "guidance": torch.full((batch,), 2.5), "ids": torch.arange(cells * 3).reshape(cells, 3).float() % 7,
            "text_ids": torch.zeros(words, 3)}


@pytest.mark.parametrize("shape", [(1, 24, 9), (3, 50, 3)])
def test_every_lane_is_near_diffusers(model, lanes, shape):
    """In bfloat16 too: diffusers multiplies the timestep and the guidance by 1000 in the network's own type."""
    given = inputs(*shape)
    expected = Step(copy.deepcopy(model).bfloat16())(*given.values()).numpy()

    def error(lane):
        runner = OnnxRunner(lanes / f"denoiser_{lane}" / "1", "step")
        got = runner.run(**{name: value.numpy() for name, value in given.items()})["velocity"]
        return np.linalg.norm(got - expected) / np.linalg.norm(expected)

    errors = {lane: error(lane) for lane in ("bf16", "fp8", "fp4")}
    assert errors["bf16"] < 0.02 and errors["fp8"] < 0.08 and errors["fp4"] < 0.25
    assert errors["bf16"] < errors["fp8"] < errors["fp4"]


def test_a_lane_says_what_it_is(lanes):
    manifest = verify(lanes / "denoiser_fp4" / "1")
    assert (manifest.family, manifest.precision) == ("flux-kontext", "fp4")
    assert set(manifest.weights) == {"bf16", "fp8", "nvfp4"}


def sizes(folder, blocks, single_blocks):
    """Bytes of each lane's weights by tier, at FLUX.1's width."""
    checkpoint = write(folder / f"{blocks} {single_blocks}", num_layers=blocks, num_single_layers=single_blocks,
                       guidance_embeds=True)
    exported(checkpoint, "--repository", checkpoint, "--precision", "fp8,fp4", "--weightless")
    return {lane: bytes_by_tier(ir.load(checkpoint / f"denoiser_{lane}" / "1" / "step.onnx")) for lane in FULL_GIGABYTES}


def test_the_real_one_has_the_bytes_that_its_lanes_promise(tmp_path):
    """By a block more of each kind: blocks of a kind are alike. `python -m benchmarks.large flux` exports all 57."""
    small, double, single = sizes(tmp_path, 1, 1), sizes(tmp_path, 2, 1), sizes(tmp_path, 1, 2)

    def whole(lane, tier):
        base = small[lane].get(tier, 0)
        return (base + (FULL_BLOCKS - 1) * (double[lane].get(tier, 0) - base)
                + (FULL_SINGLE_BLOCKS - 1) * (single[lane].get(tier, 0) - base))

    full = {lane: {tier: whole(lane, tier) for tier in ("bf16", "fp8", "nvfp4")} for lane in FULL_GIGABYTES}
    for lane, gigabytes in FULL_GIGABYTES.items():
        assert sum(full[lane].values()) / 1e9 == pytest.approx(gigabytes, rel=0.05)
    assert full["fp8"]["bf16"] == full["fp4"]["bf16"] < 0.01 * full["bf16"]["bf16"], "embedders and final layers alone"
