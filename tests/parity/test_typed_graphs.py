"""The conditioning of every family by parser and connector in bf16, fp8 and fp4, on checkpoints of
random weights."""

from __future__ import annotations

import json

import numpy as np
import pytest

import klein_tiny
from exports import exported
from families_tiny import make_published
from pictures import scene
from retouch.artifacts.manifest import FLOAT32, read, verify
from retouch.artifacts.typed_folder import exported_folder
from retouch.backends.onnx import OnnxBackend
from retouch.families.connector import Connector
from retouch.families.instructx.parser import Parser
from retouch.families.registry import class_of
from retouch.families.text_encoder import text_encoder_of
from retouch.families.vae import VaeDecoder, VaeEncoder
from shape_pairs import calibration_pairs

# largest relative errors of the conditioning, to float32
BOUNDS = {"bf16": 0.03, "fp8": 0.15, "fp4": 0.5}
SENTENCE = "make the red circle blue"


# Qwen-Image-Edit's text model is exported as klein's is, and calibrated as InstructX's
FAMILIES = ("instructx", "flux-kontext", "flux2-klein-kv")


@pytest.fixture(scope="module", params=FAMILIES)
def repository(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    checkpoint = make_published(request.param, folder / "checkpoint")
    calibration_pairs(checkpoint / "calibration", count=2)
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "flux2-klein-kv":
            klein_tiny.few_layers(patch)
        for part in ("vl_parser", "connector"):
            exported(checkpoint, "--repository", folder, "--only", part, "--parts", "fp8,fp4")
    return folder


def conditioning(repository, precision):
    """The prompt embeds, and vectors beside them, in one row."""
    parser, connector = (
        exported_folder(repository / stage / "1", precision) for stage in ("vl_parser", "connector")
    )
    if class_of(read(parser).family).has_parser:
        (parsed,) = Parser(parser).run(scene()[None], [SENTENCE])
        values = [Connector(connector).run(parsed.queries[None])]
    else:
        values = text_encoder_of(parser, OnnxBackend).encode_text(SENTENCE, [scene()]).values()
    return np.concatenate([np.ravel(value) for value in values])


def test_errors_of_the_conditioning(repository):
    expected = conditioning(repository, "")
    errors = {
        precision: np.linalg.norm(conditioning(repository, precision) - expected)
        / np.linalg.norm(expected)
        for precision in BOUNDS
    }
    assert all(errors[precision] <= bound for precision, bound in BOUNDS.items()), errors
    assert errors["bf16"] < errors["fp8"] < errors["fp4"]


def test_manifests_say_what_is_narrow(repository):
    for precision in BOUNDS:
        manifest = verify(repository / "vl_parser" / "1" / precision)
        assert manifest.precision == precision and manifest.arithmetic != FLOAT32
        assert ("fp8" in manifest.weights) == (precision != "bf16")
        assert ("nvfp4" in manifest.weights) == ("recipe" in manifest.settings)
        assert ("nvfp4" in manifest.weights) == (precision == "fp4")
    parser = repository / "vl_parser" / "1"
    graphs = {path.stem for path in (parser / "fp8").glob("*.onnx")}
    assert graphs == {path.stem for path in parser.glob("*.onnx")}
    assert set(json.loads((parser / "fp8" / "calibration.json").read_text())) == graphs


@pytest.mark.parametrize("name", ("flux-kontext", "qwen-image-edit"))
def test_the_autoencoder_is_near_float32(tmp_path, name):
    checkpoint = make_published(name, tmp_path / "checkpoint")
    encoder, decoder = (tmp_path / stage / "1" for stage in ("vae_encoder", "vae_decoder"))
    for part in (encoder, decoder):
        exported(checkpoint, "--repository", tmp_path, "--only", part.parent.name, "--parts", "fp8")
    names = {path.name for path in decoder.iterdir()}
    assert {"bf16", "model.onnx", "manifest.json"} <= names and not {"fp8", "fp4"} & names
    assert verify(decoder / "bf16").weights.keys() == {"bf16"}
    latents = VaeEncoder(encoder).run(scene()[None])
    typed = VaeEncoder(exported_folder(encoder, "bf16")).run(scene()[None])
    assert np.linalg.norm(typed - latents) <= 0.03 * np.linalg.norm(latents)
    pixels = VaeDecoder(decoder).run(latents).astype(int)
    typed_pixels = VaeDecoder(exported_folder(decoder, "bf16")).run(latents).astype(int)
    assert np.abs(typed_pixels - pixels).mean() <= 2
