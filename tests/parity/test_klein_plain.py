"""FLUX.2 klein with references in full attention against diffusers' Flux2KleinPipeline, on a tiny
base checkpoint. What it shares with the pipeline of kept references is held in test_klein.py."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from functools import partial

import numpy as np
import onnx
import pytest
import torch
from diffusers import Flux2KleinPipeline
from diffusers.pipelines.flux2 import pipeline_flux2_klein, pipeline_flux2_klein_kv

import fake_hub
from exports import exported
from families_tiny import make_published
from klein_stages import (
    EXACT,
    EXPORTED,
    Torch,
    edited,
    feel_references_and_guidance,
    follow,
    photos,
    referring_request,
    relative,
)
from klein_tiny import SENTENCES, few_layers, load_pipeline, photo
from outside import assert_outside_is_the_sources
from retouch.artifacts import manifest
from retouch.backends.onnx import OnnxBackend
from retouch.backends.torch import TorchBackend
from retouch.engine.denoiser import Denoiser
from retouch.families.denoise_request import DenoiseRequest
from retouch.families.registry import family_of
from retouch.offline.text_encoder_loop import TextEncoderLoop
from retouch.util import env
from retouch.util.content_cache import size_of
from retouch_export import trace_cache
from retouch_export.checkpoint import Checkpoint
from retouch_export.flux2_klein.denoiser import PART
from retouch_export.tensorrt_profiles import profiles, shapes

SIZES = ((96, 96), (64, 112), (112, 80))
SENTENCE = SENTENCES[0]
HUB_NAME = "black-forest-labs/klein"


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        few_layers(patch)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_published("flux2-klein", tmp_path_factory.mktemp("klein"))


@pytest.fixture(scope="module")
def pipeline(folder):
    return load_pipeline(Flux2KleinPipeline, folder)


@pytest.fixture(scope="module")
def repository(folder, tmp_path_factory):
    """Exported from a hub; the second time nothing is downloaded or made."""
    path = tmp_path_factory.mktemp("klein repository")
    with (
        fake_hub.running({HUB_NAME: fake_hub.Repository(folder)}) as hub,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv(env.GRAPHS.name, str(trace_cache.folder() or 0))
        fake_hub.use(hub, patch, tmp_path_factory.mktemp("hub"))
        exported(HUB_NAME, "--repository", path)
        assert hub.gets
        hub.forget()
        again = exported(HUB_NAME, "--repository", path)
    assert again == f"{path} is up to date with {HUB_NAME}\n" and not hub.gets
    return path


@pytest.fixture(scope="module")
def plain(repository):
    """In float32, as the pipeline is: bfloat16 would round each at other places."""
    exact = partial(OnnxBackend, rounded=False)
    return TextEncoderLoop(repository, backend=exact, others=exact)


@pytest.fixture(scope="module")
def torched(folder, repository):
    return Denoiser(repository / "denoiser_bf16" / "1", partial(Torch, PART, Checkpoint(folder)))


@torch.no_grad()
def guided_request(pipeline, seed, size, references=1, true_cfg=4.0, **options):
    """As `denoise_request`, with further references and the pipeline's own negative prompt."""
    edit = referring_request(pipeline, seed, size, references, **options)
    if true_cfg <= 1:
        return edit
    negative = {"prompt_embeds": pipeline.encode_prompt("")[0][0].numpy()}
    return replace(edit, negative=negative, true_cfg=true_cfg)


def test_manifests_name_the_repository_and_its_commit(folder, repository):
    origin = f"{HUB_NAME}@{fake_hub.Repository(folder).commit}"
    manifests = [manifest.read(path.parent) for path in repository.glob("*/1/manifest.json")]
    assert len(manifests) == 5 and {stage.origin for stage in manifests} == {origin}


CASES = [
    # size, references, seed, steps, guidance
    (SIZES[0], 1, 1, 2, 4.0),
    (SIZES[1], 3, 7, 3, 1.0),
    (SIZES[2], 1, 7, 3, 1.0),
    (SIZES[2], 3, 1, 2, 2.5),
]


@pytest.mark.parametrize("size, references, seed, steps, guidance", CASES)
def test_an_edits_latents(pipeline, torched, plain, size, references, seed, steps, guidance):
    """After every step in torch, and of the exported lane at the end."""
    edit = guided_request(pipeline, seed, size, references, guidance, steps=steps)
    images = photos(seed, size, references)
    theirs, _ = edited(pipeline, seed, size, steps=steps, images=images, guidance_scale=guidance)
    assert len(theirs) == steps
    follow(torched, plain, edit, theirs)


def test_references_and_guidance_matter(pipeline):
    """So the cases above differ from one another by more than their bounds."""
    feel_references_and_guidance(pipeline, SIZES[1])


@pytest.mark.parametrize("is_distilled", (False, True))
def test_a_whole_edit_with_the_defaults(folder, plain, monkeypatch, is_distilled):
    """From photos and a sentence to pixels: a distilled checkpoint ignores guidance."""
    pipeline = load_pipeline(Flux2KleinPipeline, folder, is_distilled=is_distilled)
    settings = plain.denoiser.settings | {"is_distilled": is_distilled}
    if is_distilled:
        settings["default_true_cfg"] = 1.0
    monkeypatch.setattr(plain.denoiser, "family", family_of("flux2-klein", settings))
    images = photos(11, SIZES[1], 2)
    theirs = edited(pipeline, 11, SIZES[1], images=images)[1]
    request = plain.request([np.asarray(image) for image in images], SENTENCE, 11, 2)
    assert (request.negative is None) == is_distilled
    *_, last = plain.denoiser.run(request)
    ours = plain.decoder.run(last.latents[None])[0]
    assert np.abs(ours - np.rint(theirs * 255)).max() <= 1


def test_the_torch_runner(plain, repository):
    """What it rounds otherwise is as small as what rounding does."""
    loop = TextEncoderLoop(repository, backend=partial(TorchBackend, device="cpu", compiled=False))
    pixels = [np.asarray(photo(SIZES[1]))]
    *_, ours = loop.denoiser.run(plain.request(pixels, SENTENCE, 4, 1))
    *_, theirs = plain.denoiser.run(plain.request(pixels, SENTENCE, 4, 1))
    assert np.linalg.norm(ours.latents - theirs.latents) <= 0.02 * np.linalg.norm(theirs.latents)


# -- steps on a region alone -----------------------------------------------------------------------


def left_half(request):
    """The request with a region of the left half of its cells."""
    rows, columns = request.latents.shape[1:]
    region = np.zeros((rows, columns), bool)
    region[:, : columns // 2] = True
    return replace(request, region=region.ravel())


@pytest.mark.parametrize("references", (1, 3))
@pytest.mark.parametrize("kind", ("torched", "plain"))
def test_a_region_over_what_the_others_had(request, pipeline, kind, references):
    """At one noise level its velocities are those of the whole step, with guidance too."""
    denoiser = request.getfixturevalue(kind)
    denoiser = getattr(denoiser, "denoiser", denoiser)
    asked = left_half(guided_request(pipeline, 3, SIZES[1], references, steps=8))
    running = denoiser.begin(replace(asked, region_cache=3))
    while not running.is_keeping:
        denoiser.step([running])
    (whole,) = denoiser._velocities([running])
    assert running.kept is not None and len(running.kept) == 2
    kept = size_of([list(arrays.values()) for arrays in running.kept])
    assert kept <= running.most_kept_bytes <= 2 * kept
    running.done += 1
    running._sigmas[running.done] = running._sigmas[running.done - 1]
    assert running.is_on_region and 0 < len(running.step_cells) < len(running.cells)
    (narrow,) = denoiser._velocities([running])
    for ours, theirs in zip(narrow, whole):
        assert relative(ours, theirs[running.step_cells]) <= (EXACT, EXPORTED)[kind == "plain"]


def test_an_edit_with_a_region_cache(pipeline, plain):
    """As near to the whole run as the kept steps allow, and nearer than without what they keep."""
    asked = left_half(guided_request(pipeline, 3, SIZES[1], 1, steps=8))
    denoiser = plain.denoiser
    sizes = []
    original = denoiser._step.run

    def run(**inputs):
        sizes.append((inputs["tokens"][0].shape[1], inputs["past_k"][0].shape[2]))
        return original(**inputs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(denoiser._step, "run", run)
        *_, near = denoiser.run(replace(asked, region_cache=2))
    *_, exact = denoiser.run(asked)
    cells = len(asked.region)
    narrow = len(denoiser.begin(asked)._region_cells())
    kept = 2 * cells - narrow  # the photo's tokens too
    whole_step = [(cells, 0)] * 2  # with guidance
    narrow_step = [(narrow, kept)] * 2
    assert sizes == whole_step * 3 + narrow_step * 2 + whole_step + narrow_step * 2
    inside = asked.region
    ours, theirs = (denoiser.family.pack(last.latents)[inside] for last in (near, exact))
    assert 0 < np.linalg.norm(ours - theirs) <= 0.1 * np.linalg.norm(theirs)


def test_edits_share_their_steps_on_a_region(pipeline, torched):
    """Steps that keep something run alone."""
    asked = [
        replace(
            left_half(guided_request(pipeline, seed, SIZES[1], 1, 1.0, steps=8)), region_cache=2
        )
        for seed in range(2)
    ]
    alone = [list(torched.run(request))[-1].latents for request in asked]
    running = [torched.begin(request) for request in asked]
    shared = []
    while running[0].steps:
        is_shared = running[0].batch_key == running[1].batch_key
        shared.append((is_shared, running[0].is_on_region))
        groups = [running] if is_shared else [[edit] for edit in running]
        progress = [last for group in groups for last in torched.step(group)]
    whole, keeping, narrow = (True, False), (False, False), (True, True)
    assert shared == [whole, whole, *[keeping, narrow, narrow] * 2]
    for ours, theirs in zip(progress, alone):
        assert np.abs(ours.latents - theirs).max() <= EXACT


def test_without_a_region_there_is_nothing_to_keep(pipeline, torched):
    asked = guided_request(pipeline, 1, SIZES[1], 1, 1.0, steps=4)
    *_, cached = torched.run(replace(asked, region_cache=2))
    *_, exact = torched.run(asked)
    np.testing.assert_array_equal(cached.latents, exact.latents)


def test_plans_take_every_input(plain, repository):
    """From one photo to four, within a profile's limits on every dynamic axis."""
    model = onnx.load(repository / "denoiser_bf16" / "1" / "step.onnx", load_external_data=False)
    family = plain.denoiser.family
    table = [shapes(model, profile) for profile in profiles(model, family)]
    for images in (1, 1 + family.max_references):
        latents = [np.zeros((16, 4, 7), np.float32)] * images
        embeds = {"prompt_embeds": np.zeros((512, 96), np.float32)}
        edit = DenoiseRequest(
            latents[0], embeds, np.ones(28, bool), 0, extra_references=tuple(latents[1:])
        )
        tokens = family.pack(latents[0])
        whole = family.constant_inputs(edit, embeds, np.arange(28)) | family.step_inputs(
            edit, tokens, np.float32(1)
        )
        some = np.arange(5)
        others = family.others(edit, some)
        layers, heads, size = plain.denoiser.settings["attention"]
        past = np.zeros((1, layers, len(others), heads, size), np.float32)
        narrow = family.region_inputs(edit, embeds, some) | family.step_inputs(
            edit, tokens[some], np.float32(1)
        )
        for inputs in (
            whole | family.whole_inputs(),
            whole | family.whole_inputs(others),
            narrow | {"past_k": past, "past_v": past},
        ):
            assert inputs.keys() == table[0].keys()
            assert any(
                all(
                    low <= side <= high
                    for name, value in inputs.items()
                    for low, side, high in zip(limits[name][0], value.shape, limits[name][2])
                )
                for limits in table
            )


def test_two_edits_share_their_steps(pipeline, torched):
    """Of other images, sentences and seeds."""
    size = SIZES[1]
    running = [
        torched.begin(guided_request(pipeline, seed, size, 1, 4.0, sentence=sentence))
        for seed, sentence in enumerate(SENTENCES[:2])
    ]
    assert len({edit.batch_key for edit in running}) == 1
    for _ in range(2):
        progress = torched.step(running)
    for seed, (sentence, update) in enumerate(zip(SENTENCES, progress)):
        theirs = edited(pipeline, seed, size, sentence, guidance_scale=4.0)[0][-1]
        assert np.abs(torched.family.pack(update.latents) - theirs).max() <= EXACT


def test_the_defaults_are_the_pipelines(folder, tmp_path):
    call = inspect.signature(Flux2KleinPipeline.__call__).parameters
    settings = PART.settings(Checkpoint(folder))
    assert settings["default_steps"] == call["num_inference_steps"].default
    assert settings["default_true_cfg"] == call["guidance_scale"].default
    index = json.loads((folder / "model_index.json").read_text()) | {"is_distilled": True}
    for name in ("transformer", "scheduler"):
        (tmp_path / name).symlink_to(folder / name)
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    settings = PART.settings(Checkpoint(tmp_path))
    assert (settings["default_steps"], settings["default_true_cfg"]) == (4, 1.0)
    family = family_of("flux2-klein", settings)
    assert not family.supports_negative and family.negative is None and family.true_cfg == 1.0


def test_the_pipelines_share_their_stages():
    """What test_klein.py holds for the other pipeline holds for this one."""
    for name in ("compute_empirical_mu", "retrieve_timesteps", "retrieve_latents"):
        sources = [
            inspect.getsource(getattr(module, name))
            for module in (pipeline_flux2_klein, pipeline_flux2_klein_kv)
        ]
        assert sources[0] == sources[1], name
    shared = (
        "_prepare_text_ids",
        "_prepare_latent_ids",
        "_prepare_image_ids",
        "_pack_latents",
        "_encode_vae_image",
        "encode_prompt",
        "prepare_latents",
        "prepare_image_latents",
    )
    for name in shared:
        sources = [
            inspect.getsource(getattr(kind, name))
            for kind in (Flux2KleinPipeline, pipeline_flux2_klein_kv.Flux2KleinKVPipeline)
        ]
        assert sources[0] == sources[1], name


def test_outside_of_a_mask_every_bit_is_the_sources(plain):
    assert_outside_is_the_sources(plain, ((70, 90), (96, 96), (50, 130)), steps=2)
