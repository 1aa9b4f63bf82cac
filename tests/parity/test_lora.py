"""Lanes with an adapter: peft trains it, diffusers loads and fuses it, and the exported lane
computes the same."""

from __future__ import annotations

import copy
import json
import os
import shutil

import pytest
import torch
from diffusers import FluxKontextPipeline, FluxTransformer2DModel
from peft import LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

from exports import exported, refused
from kontext_tiny import TRANSFORMER as TINY
from kontext_tiny import make_pipeline
from retouch.api.lanes import LANES
from retouch.artifacts.manifest import verify
from retouch.backends.onnx import OnnxBackend
from retouch.launcher.server import ROOT
from retouch.networks.flux_kontext import Step
from retouch_export.adapter import Held
from retouch_export.checkpoint import Checkpoint
from retouch_export.flux_kontext.denoiser import PART
from retouch_export.graph import Shape
from retouch_export.graph_check import relative_error
from retouch_export.lora import AdapterFile
from retouch_export.sizes import lane_bytes, measured

LINEARS = [
    "attn.to_q",
    "attn.to_k",
    "attn.to_v",
    "attn.to_out.0",
    "attn.add_k_proj",
    "ff.net.0.proj",
    "ff.net.2",
    "norm1.linear",
    "proj_mlp",
    "proj_out",
    "x_embedder",
    "context_embedder",
]
WEAK = "single_transformer_blocks.0.proj_mlp"  # trained at a strength of its own
SCALE = 0.75
FILE = "pytorch_lora_weights.safetensors"


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return FluxTransformer2DModel(**TINY).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def checkpoint(model, tmp_path_factory):
    """In bfloat16, as checkpoints are, in several shards."""
    folder = tmp_path_factory.mktemp("kontext") / "checkpoint"
    make_pipeline().save_pretrained(folder)
    shutil.rmtree(folder / "transformer")
    copy.deepcopy(model).bfloat16().save_pretrained(folder / "transformer", max_shard_size="200KB")
    return folder


@pytest.fixture(scope="module")
def base(checkpoint):
    model = FluxTransformer2DModel.from_pretrained(
        checkpoint / "transformer", torch_dtype=torch.float32
    )
    return model.eval().requires_grad_(False)


def config(**more):
    return LoraConfig(
        r=4,
        lora_alpha=6,
        target_modules=LINEARS,
        init_lora_weights=False,
        alpha_pattern={WEAK: 2},
        **more,
    )


def trained(base, **more):
    torch.manual_seed(1)
    model = copy.deepcopy(base)
    model.add_adapter(config(**more))
    return tamed(model)


@torch.no_grad()
def tamed(model):
    """Trained adapters change weights a little; random ones would make a network whose errors
    grow."""
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter *= 0.2
    return model


def saved_by_diffusers(base, folder, **more):
    model = trained(base, **more)
    FluxKontextPipeline.save_lora_weights(
        folder,
        get_peft_model_state_dict(model),
        transformer_lora_adapter_metadata=dict(model.peft_config["default"].to_dict()),
    )
    return folder


def with_alphas(base, folder):
    """The same without settings, each layer's strength beside it."""
    tensors = load_file(saved_by_diffusers(base, folder) / FILE)
    modules = {name.rpartition(".lora_")[0] for name in tensors}
    alphas = {
        f"{module}.alpha": torch.tensor(2.0 if module.endswith(WEAK) else 6.0) for module in modules
    }
    save_file(tensors | alphas, folder / FILE)
    return folder / FILE


def saved_by_peft(base, folder):
    torch.manual_seed(1)
    tamed(get_peft_model(copy.deepcopy(base), config())).save_pretrained(folder)
    return folder


def root_scaled(base, folder):
    return saved_by_diffusers(base, folder, use_rslora=True)


KOHYA = {  # kohya's names, and diffusers'
    "lora_unet_double_blocks_0_img_attn_proj": "transformer_blocks.0.attn.to_out.0",
    "lora_unet_double_blocks_0_txt_mlp_2": "transformer_blocks.0.ff_context.net.2",
    "lora_unet_double_blocks_0_img_mlp_0": "transformer_blocks.0.ff.net.0.proj",
}


def saved_by_kohya(base, folder):
    torch.manual_seed(2)
    folder.mkdir()
    tensors = {}
    for ours, theirs in KOHYA.items():
        rows, columns = base.get_submodule(theirs).weight.shape
        tensors |= {
            f"{ours}.lora_down.weight": torch.randn(4, columns) / 4,
            f"{ours}.lora_up.weight": torch.randn(rows, 4) / 4,
            f"{ours}.alpha": torch.tensor(2.0),
        }
    save_file(tensors, folder / "kohya.safetensors")
    return folder / "kohya.safetensors"


def fused(base, path):
    """diffusers' own model with the adapter in its weights, and those as a lane holds them."""
    model = copy.deepcopy(base)
    pipeline = FluxKontextPipeline(None, None, None, None, None, None, model)
    if path.is_dir() and not (path / FILE).is_file():  # diffusers does not read peft's layout
        model.load_state_dict(torch_merged(model, path))
    else:
        pipeline.load_lora_weights(
            str(path.parent if path.is_file() else path),
            adapter_name="sketch",
            weight_name=path.name if path.is_file() else FILE,
        )
        pipeline.fuse_lora(lora_scale=SCALE)
        pipeline.unload_lora_weights()
    for parameter in model.parameters():
        parameter.requires_grad_(False).copy_(parameter.bfloat16())
    return model


def torch_merged(model, path):
    """By peft, at the strength that is asked for."""
    from peft import PeftModel

    adapted = PeftModel.from_pretrained(copy.deepcopy(model), path)
    for module in adapted.modules():
        if hasattr(module, "scaling"):
            module.scaling["default"] *= SCALE
    return adapted.merge_and_unload().state_dict()


def merged(base, adapter):
    """The weights that a lane is made of, as it holds them: bfloat16 numbers, by parameter."""
    weights = adapter.merged({name: Held(value.numpy()) for name, value in base.named_parameters()})
    return {
        name: torch.from_numpy(weights[name].numbers()).bfloat16().float()
        for name in adapter.changes
    }


@pytest.mark.parametrize(
    "make", [saved_by_diffusers, with_alphas, saved_by_peft, root_scaled, saved_by_kohya]
)
def test_the_merged_weights_are_those_that_diffusers_fuses(base, checkpoint, tmp_path, make):
    path = make(base, tmp_path / "adapter")
    adapter = AdapterFile(path, "sketch", SCALE).read(Checkpoint(checkpoint))
    ours = merged(base, adapter)
    theirs, plain = (dict(network.named_parameters()) for network in (fused(base, path), base))
    assert len(ours) == (len(KOHYA) if make is saved_by_kohya else 16)
    for name, value in ours.items():
        assert (value != theirs[name]).float().mean() < 1e-3, (
            name
        )  # a sum on the edge of two bfloat16 numbers
        assert (value != plain[name]).float().mean() > 0.5, name
    for name in set(theirs) - set(ours):
        assert torch.equal(theirs[name], plain[name]), name


def test_a_lane_is_the_model_with_the_adapter_fused(base, checkpoint, tmp_path):
    path = saved_by_diffusers(base, tmp_path / "adapter")
    adapter = "--lora", path, "--lora-name", "sketch", "--lora-scale", SCALE
    output = exported(checkpoint, "--repository", tmp_path / "out", *adapter)
    assert "exported denoiser_bf16-sketch" in output
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["denoiser_bf16-sketch"]
    inputs = PART.graphs(Checkpoint(checkpoint))[0].inputs(Shape(2, 48, 64, 9, 0))
    lane = OnnxBackend(tmp_path / "out" / "denoiser_bf16-sketch" / "1", "step", rounded=False)
    got = lane.run(**{name: value.numpy() for name, value in inputs.items()})["velocity"]
    with torch.no_grad():
        theirs, plain = (
            Step(network)(*inputs.values()).numpy() for network in (fused(base, path), base)
        )
    assert relative_error(got, theirs) < 2e-4
    assert relative_error(got, plain) > 0.1, "the adapter changes something"


def test_lanes_with_an_adapter(base, checkpoint, tmp_path):
    """All precisions, beside the plain lanes; again only when the adapter, its strength or the
    checkpoint is another."""
    repository = tmp_path / "out"
    path = saved_by_diffusers(base, tmp_path / "adapter")
    for name in LANES:
        shutil.copytree(
            ROOT / "model_repository" / f"denoiser_{name}",
            repository / f"denoiser_{name}",
            symlinks=True,
            ignore=shutil.ignore_patterns(
                "*.onnx*", "manifest.json", "*.json", "*.npz", "__pycache__"
            ),
        )
    names = [name for name, _ in base.named_modules()]
    (tmp_path / "ranges.json").write_text(json.dumps({"step": dict.fromkeys(names, 4.0)}))
    asked = (
        checkpoint,
        "--repository",
        repository,
        "--precision",
        "fp8,fp4",
        "--calibration",
        tmp_path / "ranges.json",
    )
    adapter = "--lora", path, "--lora-name", "sketch"
    exported(*asked)
    output = exported(*asked, *adapter)
    assert all(f"exported denoiser_{lane}-sketch" in output for lane in LANES)
    assert "up to date" in exported(*asked, *adapter) and "up to date" in exported(*asked)
    assert "exported denoiser_fp8-sketch" in exported(
        *asked, *adapter, "--lora-scale", 0.5, "--precision", "fp8"
    )
    manifest = verify(repository / "denoiser_fp8-sketch" / "1")
    assert manifest.precision == "fp8-sketch" and manifest.arithmetic == "E4M3, bfloat16"
    assert {name: manifest.settings["adapter"][name] for name in ("name", "scale")} == {
        "name": "sketch",
        "scale": 0.5,
    }
    shapes = measured(Checkpoint(checkpoint), "transformer")[1]
    # as `retouch inspect` tells, but for the constants that a graph has and parameters that it
    # shares
    for lane in LANES:
        weights = verify(repository / f"denoiser_{lane}" / "1").weights
        assert weights == pytest.approx(lane_bytes(shapes, lane), rel=0.01)
    plain = verify(repository / "denoiser_fp8" / "1")
    assert manifest.weights == plain.weights and "adapter" not in plain.settings
    for lane in LANES:
        ours = repository / f"denoiser_{lane}-sketch"
        theirs = repository / f"denoiser_{lane}"
        assert (ours / "1/model.py").resolve() == (
            repository / "denoiser_bf16/1/model.py"
        ).resolve()
        assert os.readlink(ours / "configs/cpu.pbtxt") == "../config.pbtxt"
        for config in (
            "config.pbtxt",
            *(f"configs/{config.name}" for config in theirs.glob("configs/*")),
        ):
            assert (ours / config).read_text() == (theirs / config).read_text().replace(
                f'name: "denoiser_{lane}"', f'name: "denoiser_{lane}-sketch"'
            )


# -- what cannot be merged -------------------------------------------------------------------------


def changed(tensors):
    """An adapter's file with other tensors."""

    def make(base, folder):
        saved_by_diffusers(base, folder)
        save_file(tensors(load_file(folder / FILE)), folder / FILE)
        return folder

    return make


def renamed(old, new):
    return changed(
        lambda tensors: {name.replace(old, new): value for name, value in tensors.items()}
    )


def added(**more):
    return changed(
        lambda tensors: tensors | {name.replace("__", "."): value for name, value in more.items()}
    )


def configured(**more):
    def make(base, folder):
        saved_by_peft(base, folder)
        settings = json.loads((folder / "adapter_config.json").read_text()) | more
        (folder / "adapter_config.json").write_text(json.dumps(settings))
        return folder

    return make


def without_config(base, folder):
    saved_by_peft(base, folder)
    (folder / "adapter_config.json").unlink()
    return folder


def damaged_config(base, folder):
    saved_by_peft(base, folder)
    (folder / "adapter_config.json").write_text("{")
    return folder


def cut(base, folder):
    saved_by_diffusers(base, folder)
    (folder / FILE).write_bytes((folder / FILE).read_bytes()[:-10])
    return folder


def dora(base, folder):
    return saved_by_diffusers(base, folder, use_dora=True)


def nothing(base, folder):
    folder.mkdir()
    return folder


def foreign(base, folder):
    """Names that look like kohya's and are nobody's."""
    folder.mkdir()
    save_file({"lora_unet_middle_7.lora_down.weight": torch.ones(4, 8)}, folder / FILE)
    return folder


ONE = torch.ones(4, 4)
CASES = {
    "other modules": (
        renamed("transformer_blocks.0.ff.net", "transformer_blocks.9.ff.net"),
        (
            "changes transformer_blocks.9.ff.net.0.proj, which this checkpoint's transformer does "
            "not have"
        ),
    ),
    "other shapes": (
        changed(
            lambda tensors: {
                name: value[:, :-2].contiguous() if "to_q.lora_A" in name else value
                for name, value in tensors.items()
            }
        ),
        "has shape [64, 62] and the checkpoint's weight [64, 64]",
    ),
    "other ranks": (
        changed(
            lambda tensors: {
                name: value[:3].clone() if "to_q.lora_A" in name else value
                for name, value in tensors.items()
            }
        ),
        "attn.to_q have ranks 3 and 4; copy it again",
    ),
    "unknown keys": (
        added(transformer__x_embedder__gate=ONE),
        "holds transformer.x_embedder.gate, which is no part of a LoRA",
    ),
    "a text encoder's": (
        added(text_encoder__q__lora_A__weight=ONE),
        "the adapter changes text_encoder too",
    ),
    "half a pair": (
        changed(
            lambda tensors: {
                name: value for name, value in tensors.items() if "to_q.lora_B" not in name
            }
        ),
        "has only one of the two matrices of",
    ),
    "convolutions": (
        added(transformer__conv__lora_A__weight=torch.ones(4, 4, 1, 1)),
        "has 4 dimensions",
    ),
    "empty": (changed(lambda tensors: {}), "holds no LoRA"),
    "DoRA": (dora, "the adapter is DoRA"),
    "DoRA of others": (
        added(transformer__x_embedder__dora_scale=ONE),
        "is DoRA (transformer.x_embedder.dora_scale)",
    ),
    "LoKr": (added(transformer__x_embedder__lokr_w1=ONE), "the adapter is LoKr"),
    "LoHa": (added(transformer__x_embedder__hada_w1_a=ONE), "the adapter is LoHa"),
    "another kind by its settings": (configured(peft_type="IA3"), "of the kind IA3"),
    "biases": (configured(bias="all"), "a LoRA with biases"),
    "whole modules": (configured(modules_to_save=["proj_out"]), "a LoRA with whole modules"),
    "no numbers": (configured(lora_alpha="strong"), "states its strength in no valid number"),
    "no pattern": (
        configured(alpha_pattern={"(": 2}),
        "states its strength in no valid number",
    ),
    "PiSSA": (configured(init_lora_weights="pissa_niter_4"), "began with pissa_niter_4"),
    "no settings": (without_config, "lies without its adapter_config.json"),
    "damaged settings": (damaged_config, "settings (adapter_config.json) are damaged"),
    "a file cut short": (cut, "is cut short"),
    "no adapter": (nothing, "holds no adapter; give a safetensors file, or a folder with"),
    "nobody's names": (
        foreign,
        "diffusers cannot convert pytorch_lora_weights.safetensors for this checkpoint",
    ),
}


@pytest.mark.parametrize("make, message", CASES.values(), ids=CASES)
def test_what_cannot_be_merged_is_one_sentence(base, checkpoint, tmp_path, make, message):
    path = make(base, tmp_path / "adapter")
    error = refused(
        checkpoint, "--repository", tmp_path / "out", "--lora", path, "--lora-name", "sketch"
    )
    assert message in error and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options, message",
    [
        (("--lora-name", "Sketch"), "--lora-name 'Sketch' is no name of a lane"),
        (("--lora-name", "a/b"), "is no name of a lane"),
        (("--lora-name", "a--b"), "is no name of a lane"),
        (("--lora-name", "a" * 41), "is no name of a lane"),
        (("--lora-name", ""), "is no name of a lane"),
        ((), "--lora needs a --lora-name"),
        (("--lora-name", "a", "--lora-scale", "nan"), "--lora-scale is nan"),
        (("--lora-name", "a", "--weightless"), "leave out --weightless"),
    ],
)
def test_options_that_do_not_fit(checkpoint, tmp_path, options, message):
    assert message in refused(
        checkpoint, "--repository", tmp_path / "out", "--lora", tmp_path, *options
    )
    assert "name its file with --lora" in refused(checkpoint, "--lora-name", "a")
