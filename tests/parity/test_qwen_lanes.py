"""Qwen-Image-Edit-2511 with a Lightning LoRA, and FireRed-Image-Edit: lanes with defaults of their
own against diffusers' QwenImageEditPlusPipeline, on tiny checkpoints."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from safetensors.torch import save_file

from exports import exported
from families_tiny import denoise_request, make_published
from qwen_image_edit_stages import SENTENCE, Stages
from qwen_image_edit_tiny import load_pipeline, make_checkpoint, small_images, torch_loop
from retouch.artifacts.manifest import read
from retouch.backends.onnx import OnnxBackend
from retouch.engine.denoiser import Denoiser
from retouch_export.checkpoint import Checkpoint
from retouch_export.lane_defaults import LIGHTNING_SCHEDULER

TOLERANCE = 1e-3  # relative, of graphs without rounding
# of ModelTC/Qwen-Image-Lightning, for Qwen-Image-Edit-2511
LIGHTNING = "Qwen-Image-Edit-2511-Lightning-4steps-V1.0-bf16.safetensors"
SIZES = [(90, 90), (50, 150), (75, 64)]
LAYERS = ("attn.to_q", "attn.add_k_proj", "attn.to_out.0", "img_mlp.net.2", "img_mod.1")


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        small_images(patch)
        yield


def stages_of(path, repository):
    """Our stages in torch beside the pipeline; the denoiser is a lane's."""
    return Stages(path, load_pipeline(path, True), torch_loop(Checkpoint(path), repository))


def use(stages, repository, lane):
    """Take a lane's exported graph for the denoiser, without its rounding."""
    folder = repository / f"denoiser_{lane}" / "1"
    stages.loop.denoiser = Denoiser(folder, partial(OnnxBackend, rounded=False))


def requested(stages, steps=0):
    """An edit of three photos that names nothing but its steps."""
    return stages.loop.request(stages.photos(SIZES), SENTENCE, 3, steps)


def assert_near(stages, theirs, **options):
    *_, last = stages.denoiser.run(requested(stages, **options))
    ours = stages.family.pack(last.latents)
    assert np.abs(ours - theirs).max() <= TOLERANCE * np.abs(theirs).max()


# -- Qwen-Image-Edit-2511 with Lightning -----------------------------------------------------------


def lightning(transformer, path):
    """A LoRA in the published layout: dotted names, down, up and alpha."""
    torch.manual_seed(4)
    tensors = {}
    for block in range(len(transformer.transformer_blocks)):
        for layer in LAYERS:
            name = f"transformer_blocks.{block}.{layer}"
            out, width = transformer.get_submodule(name).weight.shape
            tensors[f"{name}.lora_down.weight"] = torch.randn(4, width).bfloat16() * 0.1
            tensors[f"{name}.lora_up.weight"] = torch.randn(out, 4).bfloat16() * 0.1
            tensors[f"{name}.alpha"] = torch.tensor(2.0)
    save_file(tensors, path)
    return path


@pytest.fixture(scope="module")
def distilled(tmp_path_factory):
    """The stages, the repository and the export's options of the lane bf16-lightning."""
    folder = tmp_path_factory.mktemp("qwen-2511")
    path = make_checkpoint(folder / "checkpoint", True, zero_cond_t=True, blocks=4)
    stages = stages_of(path, folder / "torch")
    file = lightning(stages.pipeline.transformer, folder / LIGHTNING)
    repository = folder / "repository"
    options = path, "--repository", repository, "--only", "denoiser"
    exported(*options)
    options = *options, "--lora", file, "--lora-name", "lightning"
    exported(*options)
    return stages, repository, options


def test_a_lightning_lane_takes_four_steps_without_guidance(distilled):
    """By the name of its file; a pipeline is told the same by hand."""
    stages, repository, options = distilled
    settings = read(repository / "denoiser_bf16-lightning" / "1").settings
    assert (settings["default_steps"], settings["default_true_cfg"]) == (4, 1.0)
    assert settings["scheduler"] == LIGHTNING_SCHEDULER
    assert read(repository / "denoiser_bf16" / "1").settings["default_steps"] == 50
    use(stages, repository, "bf16-lightning")
    request = requested(stages)
    assert request.negative is None and stages.denoiser.begin(request).total == 4
    pipeline = stages.pipeline
    plain = stages.theirs(stages.photos(SIZES), seed=3, steps=4).numpy()
    pipeline.load_lora_weights(options[-3])
    before = pipeline.scheduler
    pipeline.scheduler = FlowMatchEulerDiscreteScheduler.from_config(LIGHTNING_SCHEDULER)
    try:
        theirs = stages.theirs(stages.photos(SIZES), seed=3, steps=4).numpy()
        two = stages.theirs(stages.photos(SIZES), seed=3, steps=2).numpy()
    finally:
        pipeline.scheduler = before
        pipeline.unload_lora_weights()
    assert_near(stages, theirs)
    assert_near(stages, two, steps=2)  # a request's own number precedes
    assert np.abs(plain - theirs).max() > 10 * TOLERANCE * np.abs(theirs).max()


def test_defaults_change_without_an_export(distilled):
    """And stay until they are named again."""
    stages, repository, options = distilled
    folder = repository / "denoiser_bf16-lightning" / "1"
    before = read(folder)
    output = exported(*options, "--steps", 8, "--true-cfg", 2.5)
    assert output.startswith(
        "defaults of denoiser_bf16-lightning: steps 8, true_cfg 2.5, scheduler"
    )
    after = read(folder)
    assert after.files == before.files and after.settings["adapter"] == before.settings["adapter"]
    assert "is up to date" in exported(*options)
    use(stages, repository, "bf16-lightning")
    request = requested(stages)
    assert stages.denoiser.begin(request).total == 8
    assert request.negative is not None and request.true_cfg == 2.5
    assert read(repository / "denoiser_bf16" / "1").settings["default_true_cfg"] == 4.0
    exported(*options, "--sigmas", "1,0.6,0.2")
    assert stages.denoiser.begin(requested(stages)).total == 8  # loaded before
    use(stages, repository, "bf16-lightning")
    assert stages.denoiser.begin(requested(stages)).total == 3
    assert stages.family.defaults()["sigmas"] == [1.0, 0.6, 0.2]


# -- FireRed-Image-Edit ----------------------------------------------------------------------------


def test_firered_takes_its_steps_and_guidance(tmp_path):
    """A QwenImageEditPlusPipeline without `zero_cond_t`, published for 40 steps and a guidance of
    4; test_qwen_image_edit.py holds its edits."""
    path = make_published("qwen-image-edit", tmp_path / "checkpoint")
    repository = tmp_path / "repository"
    options = path, "--repository", repository, "--only", "denoiser"
    for chosen, total in (((), 50), (("--steps", 40), 40), (("--steps", 0), 50)):
        exported(*options, *chosen)
        denoiser = Denoiser(repository / "denoiser_bf16" / "1")
        family = denoiser.family
        request = replace(denoise_request(family, family.size(9, 11), 40), steps=0)
        assert denoiser.begin(request).total == total
        assert family.defaults() == {"steps": total, "true_cfg": 4.0}
