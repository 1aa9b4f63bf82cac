"""FLUX.2 dev against diffusers' Flux2Pipeline, on a tiny checkpoint. What it shares with FLUX.2
klein's pipelines is held in test_klein.py."""

from __future__ import annotations

import inspect
import json
from functools import partial

import numpy as np
import pytest
import torch
from diffusers import Flux2Pipeline

from exports import exported
from families_tiny import make_published
from flux2_dev_tiny import SENTENCES, few_layers, load_pipeline
from klein_stages import (
    Torch,
    edited,
    feel_references_and_guidance,
    follow,
    photos,
    referring_request,
    relative,
)
from klein_tiny import photo
from retouch.backends.onnx import OnnxBackend
from retouch.backends.torch import TorchBackend
from retouch.engine.denoiser import Denoiser
from retouch.offline.text_encoder_loop import TextEncoderLoop
from retouch_export.checkpoint import Checkpoint
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.flux2_dev import vl_parser
from retouch_export.flux2_dev.denoiser import PART
from retouch_export.flux2_dev.vl_parser import LAYERS

SIZES = ((96, 96), (64, 112), (112, 80))
SENTENCE = SENTENCES[0]


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        few_layers(patch)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_published("flux2-dev", tmp_path_factory.mktemp("dev"))


@pytest.fixture(scope="module")
def pipeline(folder):
    return load_pipeline(folder)


@pytest.fixture(scope="module")
def repository(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("dev repository")
    exported(folder, "--repository", path)
    return path


@pytest.fixture(scope="module")
def plain(repository):
    """The stages in float32, as the pipeline is: bfloat16 would round each at other places."""
    exact = partial(OnnxBackend, rounded=False)
    return TextEncoderLoop(repository, backend=exact, others=exact)


@pytest.fixture(scope="module")
def torched(folder, repository):
    return Denoiser(repository / "denoiser_bf16" / "1", partial(Torch, PART, Checkpoint(folder)))


def test_the_layers_of_the_text_are_the_pipelines():
    for method in (Flux2Pipeline.__call__, Flux2Pipeline.encode_prompt):
        assert inspect.signature(method).parameters["text_encoder_out_layers"].default == LAYERS


@pytest.mark.parametrize("sentence", SENTENCES, ids=("plain", "strange", "long"))
@torch.no_grad()
def test_a_sentence(pipeline, plain, sentence):
    """Its tokens and prompt embeds, the padding's on the left too."""
    seen = {}
    with pipeline.text_encoder.register_forward_pre_hook(
        lambda _, args, options: seen.update(options), with_kwargs=True
    ):
        theirs = pipeline.encode_prompt(sentence)[0][0].numpy()
    ids, mask = plain.text_encoder.tokens(sentence)
    np.testing.assert_array_equal(ids, seen["input_ids"][0])
    np.testing.assert_array_equal(mask, seen["attention_mask"][0])
    ours = plain.text_encoder.encode_text(sentence, [])["prompt_embeds"]
    assert ours.shape == theirs.shape == (512, 96) and relative(ours, theirs) <= 1e-4


CASES = [
    # size, references, seed, steps, guidance
    (SIZES[0], 1, 1, 2, 4.0),
    (SIZES[1], 3, 7, 3, 1.0),
    (SIZES[2], 1, 7, 3, 0.0),
    (SIZES[2], 3, 1, 2, 2.5),
]


@pytest.mark.parametrize("size, references, seed, steps, guidance", CASES)
@torch.no_grad()
def test_an_edits_latents(pipeline, torched, plain, size, references, seed, steps, guidance):
    """After every step in torch, and of the exported lane at the end. A request without guidance
    takes the pipeline's default."""
    edit = referring_request(pipeline, seed, size, references, steps=steps, guidance=guidance)
    scale = {"guidance_scale": guidance} if guidance else {}
    theirs, _ = edited(
        pipeline, seed, size, steps=steps, images=photos(seed, size, references), **scale
    )
    follow(torched, plain, edit, theirs)


def test_references_and_guidance_matter(pipeline):
    """So the cases above differ from one another by more than their bounds."""
    feel_references_and_guidance(pipeline, SIZES[1])


def test_a_whole_edit(pipeline, plain):
    """From photos and a sentence to pixels."""
    images = photos(11, SIZES[1], 2)
    theirs = edited(pipeline, 11, SIZES[1], images=images)[1]
    request = plain.request([np.asarray(image) for image in images], SENTENCE, 11, 2)
    *_, last = plain.denoiser.run(request)
    ours = plain.decoder.run(last.latents[None])[0]
    assert np.abs(ours - np.rint(theirs * 255)).max() <= 1


def test_the_defaults_are_the_pipelines(folder, plain):
    call = inspect.signature(Flux2Pipeline.__call__).parameters
    assert plain.denoiser.family.defaults() == {
        "steps": call["num_inference_steps"].default,
        "guidance": call["guidance_scale"].default,
    }
    assert "negative_prompt" not in call and not plain.denoiser.family.supports_negative


def test_what_the_graphs_do_not_have_is_refused(folder, tmp_path):
    """A transformer without guidance, and a tokenizer whose chat has no first token."""
    for name in ("scheduler", "vae", "text_encoder", "model_index.json"):
        (tmp_path / name).symlink_to(folder / name)
    for name in ("transformer", "tokenizer"):
        (tmp_path / name).mkdir()
        for file in (folder / name).iterdir():
            (tmp_path / name / file.name).symlink_to(file)
    config = tmp_path / "transformer" / "config.json"
    document = json.loads(config.read_text()) | {"guidance_embeds": False}
    config.unlink()
    config.write_text(json.dumps(document))
    with pytest.raises(CheckpointError, match="takes no guidance"):
        PART.settings(Checkpoint(tmp_path))
    template = tmp_path / "tokenizer" / "chat_template.jinja"
    text = template.read_text().replace("{{- bos_token }}", "")
    template.unlink()
    template.write_text(text)
    with pytest.raises(CheckpointError, match="does not begin with the token <s>"):
        vl_parser.PART.settings(Checkpoint(tmp_path))


def test_the_torch_runner(plain, repository):
    """What it rounds otherwise, in the text encoder and the transformer, is as small as what
    rounding does."""
    backend = partial(TorchBackend, device="cpu", compiled=False)
    loop = TextEncoderLoop(repository, backend=backend, others=backend)
    pixels = [np.asarray(photo(SIZES[1]))]
    ours, theirs = (
        list(stages.denoiser.run(stages.request(pixels, SENTENCE, 4, 1)))[-1].latents
        for stages in (loop, plain)
    )
    assert np.linalg.norm(ours - theirs) <= 0.02 * np.linalg.norm(theirs)
