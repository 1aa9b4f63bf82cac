"""FLUX.1 Kontext against FluxKontextPipeline, stage by stage and as a whole.

By two ways: the exported modules in torch and float32, and the graphs of the bf16 lane, in float32
too. The transformer's weights are bfloat16 numbers."""

from __future__ import annotations

import io
from functools import partial

import numpy as np
import pytest
import torch
from diffusers import FluxKontextPipeline
from PIL import Image

from beside import psnr
from exports import exported
from families_tiny import make_published
from kontext_theirs import Case, Theirs
from kontext_tiny import T5_LENGTH, TRANSFORMER, make_pipeline
from outside import assert_outside_is_the_sources
from retouch.api.request import EditRequest
from retouch.artifacts.manifest import verify
from retouch.backends.base import joined
from retouch.backends.onnx import OnnxBackend
from retouch.engine.denoiser import Denoiser
from retouch.families.denoise_request import DenoiseRequest
from retouch.families.flux_kontext import sampling
from retouch.families.flux_kontext.sampling import Family
from retouch.networks.flux_kontext import Step
from retouch.offline.text_encoder_loop import TextEncoderLoop
from retouch_export.preview import smooth_images

NETWORKS_SIZES = sampling.SIZES
SIZES = (64, 64), (48, 96), (112, 48)  # height and width: 16, 18 and 21 tokens
PLAIN = [Case(size, seed=5, steps=3) for size in SIZES]
TRUE_CFG = [
    Case(size, seed=2**33 + 7, steps=6, guidance=4.0, negative="blurry", true_cfg=3.0)
    for size in SIZES
]
CASES = PLAIN + TRUE_CFG
SENTENCES = (
    "make the red circle blue",
    "",
    "  Replace\tTHE green square, s'il vous plaît: été → 夏!",
    "the star " * 60,
    "an <|endoftext|> inside </s> and <extra_id_0>",
)
every = pytest.mark.parametrize("case", CASES, ids=str)


class TorchStep:
    """The step graph's module itself, behind the denoiser."""

    def __init__(self, model, folder, graph, keep=()):
        self.manifest = verify(folder)
        self.module = Step(model)

    @torch.no_grad()
    def run(self, **inputs):
        return {
            "velocity": self.module(
                **{name: torch.from_numpy(joined(value)) for name, value in inputs.items()}
            ).numpy()
        }


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return make_published("flux-kontext", tmp_path_factory.mktemp("kontext"))


@pytest.fixture(scope="module")
def pipeline(checkpoint):
    made = FluxKontextPipeline.from_pretrained(checkpoint, torch_dtype=torch.float32)
    made.set_progress_bar_config(disable=True)
    return made


@pytest.fixture(scope="module")
def theirs(pipeline):
    return Theirs(pipeline)


@pytest.fixture(scope="module", autouse=True)
def small():
    """The cases' sizes in place of the network's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "SIZES", SIZES)
        yield


@pytest.fixture(scope="module")
def repository(checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kontext repository")
    exported(checkpoint, "--repository", folder)
    return folder


@pytest.fixture(scope="module")
def graphs(repository):
    return TextEncoderLoop(repository, backend=partial(OnnxBackend, rounded=False))


@pytest.fixture(scope="module")
def modules(repository, pipeline):
    return Denoiser(repository / "denoiser_bf16" / "1", partial(TorchStep, pipeline.transformer))


@pytest.fixture(scope="module")
def family(modules) -> Family:
    return modules.family


def asked(case, run) -> DenoiseRequest:
    """The case with the pipeline's own conditioning and source: only what comes after these is
    ours."""
    embeds = [
        {
            "prompt_embeds": call["encoder_hidden_states"][0].numpy(),
            "pooled_prompt_embeds": call["pooled_projections"][0].numpy(),
        }
        for call in run.calls[:2]
    ]
    negative = embeds[1] if case.negative is not None else None
    return DenoiseRequest(
        run.source,
        embeds[0],
        np.ones(len(run.latents), bool),
        case.seed,
        case.steps,
        case.guidance,
        negative=negative,
        true_cfg=case.true_cfg,
    )


def close(ours, theirs, tolerance=1e-5):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)


def relative(ours, theirs):
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


# -- text ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sentence", SENTENCES)
def test_tokens(pipeline, graphs, sentence):
    options = dict(padding="max_length", truncation=True, return_tensors="np")
    clip, t5 = graphs.text_encoder.ids(sentence)
    np.testing.assert_array_equal(
        clip, pipeline.tokenizer(sentence, max_length=77, **options).input_ids[0]
    )
    np.testing.assert_array_equal(
        t5, pipeline.tokenizer_2(sentence, max_length=T5_LENGTH, **options).input_ids[0]
    )


@pytest.mark.parametrize("sentence", SENTENCES)
@torch.no_grad()
def test_conditioning(pipeline, graphs, sentence):
    text, pooled, _ = pipeline.encode_prompt(sentence, None, max_sequence_length=T5_LENGTH)
    embeds = graphs.text_encoder.encode_text(sentence, [])
    close(embeds["prompt_embeds"], text[0].numpy())
    close(embeds["pooled_prompt_embeds"], pooled[0].numpy())


# -- what comes before the first step --------------------------------------------------------------


@pytest.mark.parametrize(
    "size", [(64, 64), (1000, 700), (333, 1999), (17, 16), (2048, 512), (875, 1200)]
)
def test_size(pipeline, family, size, monkeypatch):
    """What the pipeline scales a photo to."""
    monkeypatch.setattr(family, "sizes", NETWORKS_SIZES)
    scaled = []

    def resize(image, height, width):
        scaled.append((height, width))
        raise InterruptedError

    monkeypatch.setattr(pipeline.image_processor, "resize", resize)
    with pytest.raises(InterruptedError):
        pipeline(Image.new("RGB", size[::-1]), "x", max_sequence_length=T5_LENGTH)
    assert [family.size(*size)] == scaled


@every
def test_latents_of_the_photo(theirs, graphs, case):
    close(graphs.encoder.run(case.pixels[None])[0], theirs.run(case).source)


@every
def test_noise(theirs, family, case):
    run = theirs.run(case)
    close(
        family.noise(case.seed, run.source),
        run.calls[0]["hidden_states"][0, : len(run.latents)].numpy(),
        1e-6,
    )


@every
def test_packing(theirs, family, case):
    run = theirs.run(case)
    tokens = run.calls[0]["hidden_states"][0, len(run.latents) :].numpy()
    np.testing.assert_array_equal(family.pack(run.source), tokens)
    np.testing.assert_array_equal(family.unpack(tokens, family.grid(run.source)), run.source)


@every
def test_levels(theirs, family, case):
    """Noise levels, and what of them the network is told."""
    run = theirs.run(case)
    sigmas = family.sigmas(case.steps, len(run.latents))
    np.testing.assert_array_equal(sigmas, run.sigmas)
    timesteps = [call["timestep"].item() for call in run.calls[:: 1 + (case.negative is not None)]]
    np.testing.assert_array_equal(
        torch.from_numpy(sigmas[:-1]) * 1000 / 1000, torch.tensor(timesteps)
    )


@every
def test_inputs_that_stay(theirs, family, case):
    """Position ids and guidance."""
    run = theirs.run(case)
    request = asked(case, run)
    fixed = family.constant_inputs(request, request.conditioning, np.flatnonzero(request.region))
    for ours, name in (("ids", "img_ids"), ("text_ids", "txt_ids")):
        np.testing.assert_array_equal(fixed[ours][0], run.calls[0][name].numpy())
    np.testing.assert_array_equal(fixed["guidance"], run.calls[0]["guidance"].numpy())


# -- steps -----------------------------------------------------------------------------------------


@every
def test_one_velocity(theirs, modules, case):
    run = theirs.run(case)
    edit = modules.begin(asked(case, run))
    for row, velocity in zip(edit.inputs(), run.velocities):
        ours = modules._run([row])["velocity"][0, : len(run.latents)]
        close(ours, velocity[0, : len(run.latents)].numpy())


@every
def test_latents_in_torch(theirs, modules, case):
    run = theirs.run(case)
    *_, last = modules.run(asked(case, run))
    close(modules.family.pack(last.latents), run.latents)


@every
def test_latents_by_the_graphs(theirs, graphs, case):
    """The whole way from the photo, by all exported graphs."""
    run = theirs.run(case)
    *_, last = graphs.denoiser.run(our_request(graphs, case))
    assert relative(graphs.denoiser.family.pack(last.latents), run.latents) < 1e-3


@pytest.mark.parametrize("cases", (PLAIN, TRUE_CFG), ids=("plain", "true cfg"))
@pytest.mark.parametrize("way", ("modules", "graphs"))
def test_three_edits_share_their_steps(theirs, modules, graphs, cases, way):
    """Other photos, sentences, seeds, numbers of steps and strengths; each gets what the pipeline
    makes of it alone."""
    denoiser, tolerance = {"modules": (modules, 1e-5), "graphs": (graphs.denoiser, 1e-3)}[way]
    cases = [cases[1].another(number) for number in range(3)]
    runs = [theirs.run(case) for case in cases]
    edits = [denoiser.begin(asked(case, run)) for case, run in zip(cases, runs)]
    assert len({edit.batch_key for edit in edits}) == 1 and len({edit.total for edit in edits}) > 1
    results = {}
    while running := [edit for edit in edits if edit.steps]:
        results |= dict(zip(map(id, running), denoiser.step(running)))
    for edit, run in zip(edits, runs):
        assert relative(denoiser.family.pack(results[id(edit)].latents), run.latents) < tolerance


def test_a_row_is_the_same_alone_and_among_others(graphs, theirs):
    """Bit for bit, by the graph of the lane."""
    cases = [PLAIN[1].another(number) for number in range(3)]
    edits = [graphs.denoiser.begin(asked(case, theirs.run(case))) for case in cases]
    rows = [edit.inputs()[0] for edit in edits]
    together = graphs.denoiser._run(rows)["velocity"]
    for row, velocity in zip(rows, together):
        np.testing.assert_array_equal(graphs.denoiser._run([row])["velocity"][0], velocity)


def test_a_network_without_guidance(tmp_path):
    """As FLUX.1 schnell's: it is told no strength, and true guidance is all there is."""
    bare = make_pipeline(guidance_embeds=False, num_single_layers=0)
    assert TRANSFORMER["guidance_embeds"] and not bare.transformer.config.guidance_embeds
    bare.save_pretrained(tmp_path / "checkpoint")
    exported(tmp_path / "checkpoint", "--repository", tmp_path, "--only", "denoiser")
    folder = tmp_path / "denoiser_bf16" / "1"
    case = TRUE_CFG[0]
    run = Theirs(bare).run(case)
    *_, last = Denoiser(folder, partial(TorchStep, bare.transformer)).run(asked(case, run))
    close(Family(verify(folder).settings).pack(last.latents), run.latents)
    *_, last = Denoiser(folder).run(asked(case, run))
    assert relative(Family(verify(folder).settings).pack(last.latents), run.latents) < 0.1


# -- the image -------------------------------------------------------------------------------------


def our_request(loop, case) -> DenoiseRequest:
    return loop.request(
        [case.pixels],
        case.sentence,
        case.seed,
        case.steps,
        case.guidance,
        case.negative or "",
        case.true_cfg,
    )


@every
def test_image(theirs, graphs, case):
    *_, last = graphs.denoiser.run(our_request(graphs, case))
    ours = graphs.decoder.run(last.latents[None])[0]
    assert np.abs(ours.astype(int) - theirs.run(case).image).max() <= 1


@every
def test_image_of_the_lane(theirs, repository, case):
    """As it is served, with all its roundings, beside the pipeline in float32."""
    lane = TextEncoderLoop(repository)
    *_, last = lane.denoiser.run(our_request(lane, case))
    assert psnr(lane.decoder.run(last.latents[None])[0], theirs.run(case).image) > 40


def test_an_edit_by_request(repository, graphs):
    """From bytes to bytes, at the photo's size; the checkpoint's own steps and guidance."""
    lane = TextEncoderLoop(repository)
    photo = io.BytesIO()
    Image.fromarray(PLAIN[0].pixels).resize((200, 101)).save(photo, "PNG")
    with Image.open(
        io.BytesIO(lane.edit(EditRequest(photo.getvalue(), SENTENCES[0], seed=3)))
    ) as edited:
        assert edited.size == (200, 101)
    pixels = PLAIN[0].pixels
    assert lane.denoiser.begin(lane.request([pixels], SENTENCES[0], seed=3)).total == 28


def test_previews_are_fitted_to_the_autoencoder(graphs):
    """Its weights are random and say little of an image; a map of other weights would say less than
    the mean colour."""
    family = graphs.denoiser.family
    images = list(smooth_images())
    latents = [graphs.encoder.run(pixels[None])[0] for pixels in images]
    shown = [
        graphs.denoiser._preview_map.image(family.pack(latent), family.grid(latent))
        for latent in latents
    ]
    small = np.stack([pixels.reshape(32, 4, 32, 4, 3).mean((1, 3)) for pixels in images])
    assert (
        np.square(np.stack(shown) - small).mean()
        < 0.85 * np.square(small - small.mean((0, 1, 2))).mean()
    )


def test_outside_of_a_mask_every_bit_is_the_sources(graphs):
    assert_outside_is_the_sources(graphs, ((70, 90), (64, 64), (50, 130)), steps=2)
