"""FLUX.2 klein with kept references against diffusers' Flux2KleinKVPipeline, stage by stage, on a
tiny checkpoint."""

from __future__ import annotations

import inspect
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from diffusers import Flux2KleinKVPipeline
from diffusers.pipelines.flux2.pipeline_flux2_klein_kv import compute_empirical_mu

from exports import exported
from families_tiny import make_published
from klein_stages import EXACT, EXPORTED, Torch, denoise_request, edited, follow, psnr, relative
from klein_tiny import SENTENCES, few_layers, load_pipeline, photo
from outside import assert_outside_is_the_sources
from retouch.artifacts.manifest import verify
from retouch.backends.onnx import OnnxBackend
from retouch.backends.torch import TorchBackend
from retouch.engine.denoiser import Denoiser
from retouch.families.flux2_klein.sampling import empirical_mu
from retouch.families.flux2_klein_kv.sampling import Family
from retouch.families.text_encoder import text_encoder_of
from retouch.offline.text_encoder_loop import TextEncoderLoop
from retouch_export.checkpoint import Checkpoint
from retouch_export.flux2_klein.vl_parser import LAYERS
from retouch_export.flux2_klein_kv.denoiser import PART
from shape_pairs import calibration_pairs

SIZES = ((128, 128), (64, 112), (112, 80))
SENTENCE = SENTENCES[0]


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        few_layers(patch)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_published("flux2-klein-kv", tmp_path_factory.mktemp("klein"))


@pytest.fixture(scope="module")
def pipeline(folder):
    return load_pipeline(Flux2KleinKVPipeline, folder)


@pytest.fixture(scope="module")
def repository(folder, tmp_path_factory):
    """All lanes, calibrated on the checkpoint's own pairs."""
    path = tmp_path_factory.mktemp("klein repository")
    calibration_pairs(folder / "calibration", count=2)
    exported(folder, "--repository", path, "--precision", "bf16,fp8,fp4")
    return path


@pytest.fixture(scope="module")
def plain(repository):
    """In float32, as the pipeline is: bfloat16 would round each at other places."""
    exact = partial(OnnxBackend, rounded=False)
    loop = TextEncoderLoop(repository, backend=exact)
    loop.text_encoder = text_encoder_of(repository / "vl_parser" / "1", exact)
    return loop


@pytest.fixture(scope="module")
def torched(folder, repository):
    return Denoiser(repository / "denoiser_bf16" / "1", partial(Torch, PART, Checkpoint(folder)))


def test_the_layers_of_the_text_are_the_pipelines():
    for method in (Flux2KleinKVPipeline.__call__, Flux2KleinKVPipeline.encode_prompt):
        assert inspect.signature(method).parameters["text_encoder_out_layers"].default == LAYERS


# -- text ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sentence", SENTENCES, ids=("plain", "strange", "long"))
def test_tokens(pipeline, plain, sentence):
    """Also with line ends, with a chat's token spelt out, and where the sentence is cut."""
    seen = {}
    with pipeline.text_encoder.register_forward_pre_hook(
        lambda _, args, options: seen.update(options), with_kwargs=True
    ):
        pipeline.encode_prompt(sentence)
    ids, mask = plain.text_encoder.tokens(sentence)
    np.testing.assert_array_equal(ids, seen["input_ids"][0])
    np.testing.assert_array_equal(mask, seen["attention_mask"][0])


@pytest.mark.parametrize("sentence", SENTENCES, ids=("plain", "strange", "long"))
@torch.no_grad()
def test_conditioning(pipeline, plain, sentence):
    """The padding's too."""
    ours = plain.text_encoder.encode_text(sentence, [])["prompt_embeds"]
    theirs = pipeline.encode_prompt(sentence)[0][0].numpy()
    assert ours.shape == theirs.shape == (512, 96)
    assert relative(ours, theirs) <= 1e-4


# -- what the transformer is fed with --------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_position_ids(pipeline, torched, size):
    edit = denoise_request(pipeline, 0, size)
    further = denoise_request(pipeline, 1, (64, 80)).latents
    ours = torched.family.reference_inputs((edit.latents, further), {})["ids"]
    images = [torch.from_numpy(latents[None]) for latents in (edit.latents, further)]
    np.testing.assert_array_equal(ours, pipeline._prepare_image_ids(images))
    fixed = torched.family.constant_inputs(edit, edit.conditioning, np.flatnonzero(edit.region))
    np.testing.assert_array_equal(fixed["ids"], pipeline._prepare_latent_ids(images[0]))
    np.testing.assert_array_equal(fixed["conditioning_ids"], pipeline.encode_prompt(SENTENCE)[1])


@pytest.mark.parametrize("steps", (1, 4, 9))
@pytest.mark.parametrize("cells", (20, 4096, 5000))
def test_sigmas_and_timesteps(pipeline, torched, steps, cells):
    mu = compute_empirical_mu(cells, steps)
    assert empirical_mu(cells, steps) == mu
    pipeline.scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), mu=mu)
    sigmas = torched.family.sigmas(steps, cells)
    np.testing.assert_array_equal(sigmas, pipeline.scheduler.sigmas)
    times = [
        torched.family.step_inputs(None, np.zeros((1, 1)), sigma)["timestep"][0]
        for sigma in sigmas[:-1]
    ]
    np.testing.assert_array_equal(times, pipeline.scheduler.timesteps / 1000)


@pytest.mark.parametrize("seed", (0, 2**40 + 3))
@pytest.mark.parametrize("size", SIZES)
def test_noise(pipeline, torched, seed, size):
    edit = denoise_request(pipeline, seed % 2**31, size)
    generator = torch.Generator().manual_seed(seed)
    theirs, _ = pipeline.prepare_latents(
        1, len(edit.latents) // 4, *size, torch.float32, "cpu", generator
    )
    np.testing.assert_allclose(
        torched.family.noise(seed, edit.latents), theirs[0], rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("size", SIZES)
def test_latents(pipeline, plain, size):
    ours = plain.encoder.run(np.asarray(photo(size))[None])[0]
    edit = denoise_request(pipeline, 0, size)
    assert relative(ours, edit.latents) <= 1e-4
    packed = pipeline._pack_latents(torch.from_numpy(edit.latents[None]))[0]
    np.testing.assert_array_equal(plain.denoiser.family.pack(edit.latents), packed)
    np.testing.assert_array_equal(
        plain.denoiser.family.unpack(packed.numpy(), edit.latents.shape[1:]), edit.latents
    )


@pytest.mark.parametrize(
    "size, edited_at",
    (
        ((1024, 1024), (1024, 1024)),
        ((100, 130), (96, 128)),
        ((64, 65), (64, 64)),
        ((3000, 2000), (1248, 832)),
        ((700, 2500), (528, 1920)),
    ),
)
def test_size(pipeline, monkeypatch, size, edited_at):
    """The pipeline's, seen at what it cuts an image to."""
    assert Family({"scheduler": {}}).size(*size) == edited_at
    seen = {}

    def stop(image, height, width, resize_mode):
        seen["size"] = height, width
        raise InterruptedError

    monkeypatch.setattr(pipeline.image_processor, "preprocess", stop)
    with pytest.raises(InterruptedError):
        pipeline(photo(size), prompt_embeds=torch.zeros(1, 512, 96))
    assert seen["size"] == edited_at


# -- the way ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_one_velocity(pipeline, torched, plain, size):
    """Of the first step, in which the pipeline runs reference and target together."""
    edit = denoise_request(pipeline, 3, size)
    seen = {}

    def keep(network, args, result):
        seen.setdefault("first", result[0].numpy())

    with pipeline.transformer.register_forward_hook(keep):
        edited(pipeline, 3, size)
    for denoiser, limit in ((torched, EXACT), (plain.denoiser, EXPORTED)):
        running = denoiser.begin(edit)
        ours = denoiser._run(denoiser._inputs(running))["velocity"]
        denoiser.end(running)
        assert relative(ours, seen["first"]) <= limit


@pytest.mark.parametrize("steps", (2, 4))
@pytest.mark.parametrize("seed", (1, 7))
@pytest.mark.parametrize("size", SIZES)
def test_an_edits_latents(pipeline, torched, plain, size, seed, steps):
    """After every step in torch, and of the exported lane at the end."""
    edit = denoise_request(pipeline, seed, size, steps=steps)
    theirs, _ = edited(pipeline, seed, size, steps=steps)
    follow(torched, plain, edit, theirs)


@pytest.mark.parametrize("kind, limit", (("torched", EXACT), ("plain", EXPORTED)))
def test_three_edits_share_their_steps(request, pipeline, kind, limit):
    """Of other images, sentences and seeds."""
    denoiser = request.getfixturevalue(kind)
    denoiser = getattr(denoiser, "denoiser", denoiser)
    size = SIZES[1]
    running = [
        denoiser.begin(denoise_request(pipeline, seed, size, sentence))
        for seed, sentence in enumerate(SENTENCES)
    ]
    assert len({edit.batch_key for edit in running}) == 1
    for _ in range(2):
        progress = denoiser.step(running)
    for seed, (sentence, update) in enumerate(zip(SENTENCES, progress)):
        theirs = edited(pipeline, seed, size, sentence)[0][-1]
        assert relative(denoiser.family.pack(update.latents), theirs) <= limit


def test_several_references(pipeline, torched, plain):
    """Of other sizes; what is kept of them is kept for them together."""
    size = SIZES[0]
    others = ((64, 80), (80, 64))
    photos = [photo(size, 5), *(photo(other, seed) for seed, other in enumerate(others))]
    theirs = edited(pipeline, 5, size, images=photos)[0][-1]
    alone = edited(pipeline, 5, size)[0][-1]
    edit = denoise_request(
        pipeline,
        5,
        size,
        extra_references=tuple(
            denoise_request(pipeline, *other).latents for other in enumerate(others)
        ),
    )
    *_, last = torched.run(edit)
    assert np.abs(torched.family.pack(last.latents) - theirs).max() <= EXACT
    *_, last = plain.denoiser.run(edit)
    assert relative(torched.family.pack(last.latents), theirs) <= EXPORTED
    assert np.abs(alone - theirs).max() > 100 * EXACT


@pytest.mark.parametrize("size", SIZES)
def test_a_whole_edit(pipeline, plain, repository, size):
    """From photo and sentence to pixels; the rounded lane is near."""
    seed = 11
    pixels = np.asarray(photo(size, 11))
    theirs = edited(pipeline, seed, size, steps=4)[1]
    *_, last = plain.denoiser.run(plain.request([pixels], SENTENCE, seed, 4))
    ours = plain.decoder.run(last.latents[None])[0]
    assert np.abs(ours - np.rint(theirs * 255)).max() <= 1
    rounded = TextEncoderLoop(repository)
    *_, last = rounded.denoiser.run(rounded.request([pixels], SENTENCE, seed, 4))
    assert psnr(plain.decoder.run(last.latents[None])[0] / 255, theirs) >= 35


def test_previews(plain):
    """Of the clean tokens, as the folder's map has them."""
    request = plain.request([np.asarray(photo(SIZES[1]))], SENTENCE, seed=0, steps=4)
    *steps, _ = plain.denoiser.run(replace(request, previews=3))
    assert [step.preview.shape for step in steps] == [(16, 28, 3)] * 3


# -- lanes -----------------------------------------------------------------------------------------


def test_narrow_lanes(pipeline, repository):
    """Calibrated over whole edits, so that FP4 has its best recipe; errors grow as lanes get
    narrower."""
    theirs = edited(pipeline, 2, SIZES[0], steps=4)[0][-1]

    def error(lane):
        denoiser = Denoiser(repository / f"denoiser_{lane}" / "1")
        *_, last = denoiser.run(denoise_request(pipeline, 2, SIZES[0], steps=4))
        return np.linalg.norm(denoiser.family.pack(last.latents) - theirs) / np.linalg.norm(theirs)

    errors = {lane: error(lane) for lane in ("bf16", "fp8", "fp4")}
    assert errors["bf16"] < errors["fp8"] < errors["fp4"]
    assert errors["bf16"] < 0.02 and errors["fp8"] < 0.1 and errors["fp4"] < 0.3
    manifest = verify(repository / "denoiser_fp4" / "1")
    assert manifest.settings["recipe"] == {"rounding": "feedback", "tail": 1}
    assert (manifest.family, set(manifest.weights)) == ("flux2-klein-kv", {"bf16", "fp8", "nvfp4"})


@pytest.mark.parametrize("lane, limit", (("bf16", 0.02), ("fp8", 0.1)))
def test_the_torch_runner(plain, repository, lane, limit):
    """What it rounds otherwise is as small as what rounding does."""
    loop = TextEncoderLoop(
        repository, lane, backend=partial(TorchBackend, device="cpu", compiled=False)
    )
    *_, ours = loop.denoiser.run(loop.request([np.asarray(photo(SIZES[0]))], SENTENCE, 4, 2))
    *_, theirs = plain.denoiser.run(plain.request([np.asarray(photo(SIZES[0]))], SENTENCE, 4, 2))
    assert np.linalg.norm(ours.latents - theirs.latents) <= limit * np.linalg.norm(theirs.latents)


def test_outside_of_a_mask_every_bit_is_the_sources(plain):
    assert_outside_is_the_sources(plain, ((70, 90), (96, 96), (50, 130)), steps=2)
