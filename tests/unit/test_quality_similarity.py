"""Similarity by CLIP and DINO: tiny checkpoints of random weights, and folders that are none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel, Dinov2Config, Dinov2Model, ViTConfig, ViTModel

from pictures import scene
from retouch import quality
from retouch.quality.metrics.similarity import Similarity, SimilarityError

FOLDER = Path(quality.__file__).parent
SMALL = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
PATCHES = {"image_size": 32, "patch_size": 8}
MEAN = [0.48, 0.46, 0.41]
DEVIATION = [0.27, 0.26, 0.28]
PROCESSORS = {
    "clip": "CLIPImageProcessor",
    "dinov2": "BitImageProcessor",
    "vit": "ViTImageProcessor",
}


def model(kind):
    torch.manual_seed(0)
    if kind == "dinov2":
        return Dinov2Model(Dinov2Config(**SMALL, **PATCHES, mlp_ratio=1))
    if kind == "vit":
        return ViTModel(ViTConfig(**SMALL, **PATCHES))
    ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    text = {**SMALL, **ends, "vocab_size": 8, "max_position_embeddings": 4}
    vision = {**SMALL, **PATCHES}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8))


def checkpoint(folder, kind):
    model(kind).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    settings = {
        "image_processor_type": PROCESSORS[kind],
        "do_convert_rgb": True,
        "do_resize": True,
        "size": size if kind == "vit" else {"shortest_edge": 32},
        "do_center_crop": kind != "vit",
        "crop_size": size,
        "do_rescale": True,
        "do_normalize": True,
        "image_mean": MEAN,
        "image_std": DEVIATION,
        "resample": 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


@pytest.fixture(scope="module", params=PROCESSORS)
def folder(request, tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp(request.param), request.param)


def test_equal_pictures_are_most_alike(folder):
    similarity = Similarity(folder)
    source = scene()
    noise = np.random.default_rng(0).integers(0, 256, source.shape, np.uint8)
    near = (source * 0.95).astype(np.uint8)
    assert similarity(source, source) == pytest.approx(1, abs=1e-6)
    assert 1 > similarity(source, near) > similarity(source, noise)
    assert similarity(source, noise) == pytest.approx(similarity(noise, source), abs=1e-6)
    assert -1 <= similarity(source, scene(160, 96)) <= 1


def test_features_are_the_model_s_own(folder):
    """Of a picture that has the model's size already."""
    kind = json.loads((folder / "config.json").read_text())["model_type"]
    pixels = scene(32, 32)
    values = torch.from_numpy((pixels / 255 - MEAN) / DEVIATION).permute(2, 0, 1)[None].float()
    theirs = model(kind).eval()
    with torch.inference_mode():
        if kind == "clip":
            row = theirs.visual_projection(theirs.vision_model(values).pooler_output)[0]
        else:
            row = theirs(values).last_hidden_state[0, 0]
    expected = (row / row.norm()).numpy()
    np.testing.assert_allclose(Similarity(folder).features(pixels), expected, atol=1e-4)


def test_a_folder_without_a_checkpoint_is_named(tmp_path):
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(SimilarityError, match=f"{path} holds no checkpoint"):
            Similarity(path)


@pytest.mark.parametrize("text", ("{", "\xff"))
def test_a_config_that_is_no_json(tmp_path, text):
    (tmp_path / "config.json").write_text(text, "latin-1")
    with pytest.raises(SimilarityError, match="cannot be read"):
        Similarity(tmp_path)


@pytest.mark.parametrize("text", ("{}", "[]", '{"model_type": "bert"}'))
def test_another_model_is_refused_with_those_that_are_allowed(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(SimilarityError, match="clip, vit, dinov2"):
        Similarity(tmp_path)


def test_a_checkpoint_without_weights_or_with_too_few_is_refused(tmp_path):
    checkpoint(tmp_path, "dinov2")
    path = tmp_path / "model.safetensors"
    kept = {name: value for name, value in load_file(path).items() if "layernorm" not in name}
    save_file(kept, path, {"format": "pt"})
    with pytest.raises(SimilarityError, match="lacks weights, first layernorm.bias"):
        Similarity(tmp_path)
    path.write_bytes(b"no weights")
    with pytest.raises(SimilarityError, match="cannot be loaded"):
        Similarity(tmp_path)
    path.unlink()
    with pytest.raises(SimilarityError, match="cannot be loaded"):
        Similarity(tmp_path)


def test_the_layer_imports_no_torch():
    """Of all modules of the layer."""
    names = [f"retouch.quality.{path.stem}" for path in FOLDER.glob("[a-z]*.py")]
    code = f"import importlib, sys; [importlib.import_module(name) for name in {names}]"
    code += "; sys.exit(' '.join({'torch', 'transformers', 'cv2'} & {*sys.modules}) or None)"
    subprocess.run([sys.executable, "-c", code], check=True)
