"""Numbers of `retouch inspect` against the libraries': parameters, defaults, peaks of memory."""

from __future__ import annotations

import inspect
import json
import weakref

import diffusers
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLQwenImage,
    AutoencoderKLQwenImage21,
    Flux2Transformer2DModel,
    FluxTransformer2DModel,
    QwenImage21Transformer2DModel,
    QwenImageTransformer2DModel,
)
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from kontext_tiny import TRANSFORMER as TINY
from retouch.networks.qwen_image_21_passes import Step
from retouch_export.checkpoint import Checkpoint
from retouch_export.memory import COPIES, DECODED, DEFAULTS
from retouch_export.pipelines import PIPELINES
from retouch_export.sizes import measured
from retouch_export.summary import summary

KONTEXT = "FluxKontextPipeline"
QWEN = "QwenImageEditPlusPipeline"
KLEIN = "Flux2KleinKVPipeline"
THEIRS = {name: getattr(diffusers, name) for name in PIPELINES if name != "RetouchPipeline"}


def described(folder, pipeline, kind, **config):
    """A checkpoint of a config alone."""
    (folder / "transformer").mkdir(parents=True)
    (folder / "model_index.json").write_text(
        json.dumps({"_class_name": pipeline, "transformer": ["diffusers", kind]})
    )
    (folder / "transformer/config.json").write_text(json.dumps({"_class_name": kind} | config))
    return folder


@pytest.mark.parametrize(
    "pipeline, kind, config, billions, gigabytes",
    [
        (
            KONTEXT,
            "FluxTransformer2DModel",
            {"guidance_embeds": True},
            11.90,
            {"bf16": 23.8, "fp8": 12.0, "fp4": 8.2},
        ),
        (QWEN, "QwenImageTransformer2DModel", {}, 20.43, {"bf16": 40.86}),
    ],
)
def test_real_checkpoints_by_their_configs(tmp_path, pipeline, kind, config, billions, gigabytes):
    sizes = summary(described(tmp_path / "whole", pipeline, kind, **config))
    (network,) = sizes.networks
    assert (network.kind, network.dtypes) == (kind, {})
    assert network.parameters / 1e9 == pytest.approx(billions, abs=0.005)
    for lane, expected in gigabytes.items():
        assert sum(sizes.lanes[lane].values()) / 1e9 == pytest.approx(expected, rel=0.01)
    assert [
        fit.alone
        for fit in sizes.fits
        if (fit.gpu, fit.lane, fit.side) == ("RTX 5090", "bf16", 1024)
    ] == [6 if pipeline == KONTEXT else 0]


def test_headers_and_configs_say_the_same(tmp_path):
    torch.manual_seed(0)
    folder = described(tmp_path / "tiny", KONTEXT, "FluxTransformer2DModel", **TINY)
    by_config = measured(Checkpoint(folder), "transformer")
    FluxTransformer2DModel(**TINY).save_pretrained(folder / "transformer", max_shard_size="200KB")
    network, shapes = measured(Checkpoint(folder), "transformer")
    assert dict(shapes) == dict(by_config[1]) and network.parameters == by_config[0].parameters
    assert network.dtypes == {"F32": network.parameters}


def test_a_config_that_suits_no_class_is_told(tmp_path):
    sizes = summary(
        described(
            tmp_path / "a", KONTEXT, "FluxTransformer2DModel", axes_dims_rope="x", num_layers="many"
        )
    )
    assert sizes.networks == [] and any(
        "FluxTransformer2DModel cannot be made by its config" in message
        for message in sizes.missing
    )
    sizes = summary(described(tmp_path / "b", KONTEXT, "NoSuchModel"))
    assert any("diffusers has no NoSuchModel" in message for message in sizes.missing)


@pytest.mark.parametrize("name", THEIRS)
def test_defaults_are_those_of_diffusers(name):
    ours = PIPELINES[name]
    call = inspect.signature(THEIRS[name].__call__).parameters
    assert ours.steps == call["num_inference_steps"].default
    # a guidance of None is not given; true classifier-free guidance is on where its scale is more
    # than 1
    scale = call["true_cfg_scale"].default if "true_cfg_scale" in call else 1.0
    distilled = call["guidance_scale"].default if "guidance_scale" in call else None
    if name == "FluxKontextPipeline":
        distilled = 2.5  # of the example in its documentation; its signature has FLUX.1's 3.5
    if name == "Flux2KleinPipeline":  # its guidance is classifier-free
        scale = distilled
    assert (ours.guidance, ours.runs_twice) == (
        (scale, True) if scale > 1 else (distilled or 0.0, False)
    )
    made = inspect.signature(THEIRS[name].__init__).parameters.values()
    assert set(ours.components) == {
        parameter.name
        for parameter in made
        if parameter.default is parameter.empty and parameter.name != "self"
    }


@pytest.mark.parametrize("name", DEFAULTS)
def test_sizes_are_those_of_diffusers(name):
    made = inspect.signature(getattr(diffusers, name).__init__).parameters
    assert DEFAULTS[name] == {parameter: made[parameter].default for parameter in DEFAULTS[name]}
    assert ("num_single_layers" in made) == ("num_single_layers" in DEFAULTS[name])


# -- peaks, counted operator by operator; nothing is computed --------------------------------------


class Peak(TorchDispatchMode):
    """Bytes of storages that are alive, but for a module's own."""

    def __init__(self, module):
        super().__init__()
        self._held = {
            tensor.untyped_storage()._cdata: 0
            for tensor in (*module.parameters(), *module.buffers())
        }
        self.now = self.most = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        out = function(*arguments, **(options or {}))
        for tensor in tree_leaves(out):
            if (
                isinstance(tensor, torch.Tensor)
                and (key := tensor.untyped_storage()._cdata) not in self._held
            ):
                self._held[key] = tensor.untyped_storage().nbytes()
                self.now += self._held[key]
                self.most = max(self.most, self.now)
                weakref.finalize(tensor.untyped_storage(), self._drop, key)
        return out

    def _drop(self, key):
        self.now -= self._held.pop(key, 0)


def peak(make, run):
    """Bytes at the peak of `run(module)`, in bfloat16."""
    with FakeTensorMode(), torch.no_grad():
        torch.set_default_dtype(torch.bfloat16)
        try:
            module = make().eval()
            with Peak(module) as counted:
                run(module)
        finally:
            torch.set_default_dtype(torch.float32)
    return counted.most


TEXT = 512
CELLS = 64 * 64


def flux(model):
    model(
        hidden_states=torch.empty(1, 2 * CELLS, 64),
        encoder_hidden_states=torch.empty(1, TEXT, 4096),
        pooled_projections=torch.empty(1, 768),
        timestep=torch.ones(1),
        guidance=torch.ones(1),
        img_ids=torch.zeros(2 * CELLS, 3),
        txt_ids=torch.zeros(TEXT, 3),
    )


def flux2(model):
    model(
        hidden_states=torch.empty(1, CELLS, 128),
        encoder_hidden_states=torch.empty(1, TEXT, 12288),
        timestep=torch.ones(1),
        guidance=None,
        img_ids=torch.zeros(CELLS, 4),
        txt_ids=torch.zeros(TEXT, 4),
    )


def qwen(model):
    model(
        hidden_states=torch.empty(1, 2 * CELLS, 64),
        encoder_hidden_states=torch.empty(1, TEXT, 3584),
        encoder_hidden_states_mask=None,
        timestep=torch.ones(1),
        img_shapes=[[(1, 64, 64), (1, 64, 64)]],
    )


def qwen_21():
    """A model, and as its buffers the keys and values of a photo and of a text."""
    model = QwenImage21Transformer2DModel(num_layers=2)
    for name, count in (("reference", CELLS), ("text", TEXT)):
        model.register_buffer(name, torch.empty(1, 2, count, 32, 128))
    return model


def qwen_21_step(model):
    rope = torch.empty(1, CELLS, 2, 64, dtype=torch.float32)
    cached = (model.reference, model.reference, model.text, model.text)
    Step(model)(torch.empty(1, CELLS, 64), torch.ones(1), rope, *cached)


@pytest.mark.parametrize(
    "make, run, tokens, width",
    [
        (
            lambda: FluxTransformer2DModel(guidance_embeds=True, num_layers=1, num_single_layers=2),
            flux,
            TEXT + 2 * CELLS,
            3072,
        ),
        (
            lambda: Flux2Transformer2DModel(
                guidance_embeds=False,
                num_attention_heads=32,
                joint_attention_dim=12288,
                num_layers=1,
                num_single_layers=2,
            ),
            flux2,
            TEXT + CELLS,
            4096,
        ),
        (lambda: QwenImageTransformer2DModel(num_layers=2), qwen, TEXT + 2 * CELLS, 3072),
        (qwen_21, qwen_21_step, TEXT + CELLS, 4096),
    ],
    ids=["flux", "flux2", "qwen", "qwen-21"],
)
def test_copies_are_what_a_step_takes_at_its_peak(make, run, tokens, width):
    with FakeTensorMode():
        name = type(make()).__name__
    counted = peak(make, run) / (tokens * width * 2)
    assert counted <= COPIES[name] < 1.05 * counted


@pytest.mark.parametrize(
    "make, channels",
    [
        (
            lambda: AutoencoderKL(
                block_out_channels=(128, 256, 512, 512),
                layers_per_block=2,
                latent_channels=16,
                use_quant_conv=False,
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
                use_post_quant_conv=False,
            ),
            128,
        ),
        (AutoencoderKLQwenImage, 96),
        (AutoencoderKLQwenImage21, 96),
    ],
    ids=["kl", "qwen", "qwen-21"],
)
def test_what_decoding_takes_at_its_peak(make, channels):
    with FakeTensorMode():
        name = type(make()).__name__
    frames = (1,) if "QwenImage" in name else ()
    latents = (64, *frames, 64, 64) if name.endswith("21") else (16, *frames, 128, 128)
    counted = peak(make, lambda vae: vae.decode(torch.empty(1, *latents))) / (
        1024**2 * channels * 2
    )
    assert counted <= DECODED[name] < 1.05 * counted
