"""Qwen-Image 2.1 against diffusers' QwenImage21Pipeline on a tiny checkpoint, and what is kept of a
photo across requests."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
import torch
from diffusers.models.transformers import transformer_qwenimage21
from diffusers.pipelines.qwenimage21.pipeline_qwenimage21 import calculate_dimensions
from PIL import Image

import qwen_image_edit_tiny
from edit_stages import EditStages
from exports import exported
from families_tiny import make_published
from outside import assert_outside_is_the_sources
from qwen_image_21_tiny import SIDE, load_pipeline, small_images
from qwen_image_edit_tiny import TorchGraphs, torch_loop
from retouch.api.geometry import CELL
from retouch.api.request import EditRequest
from retouch.artifacts.manifest import verify
from retouch.backends.base import joined
from retouch.backends.onnx import OnnxBackend
from retouch.backends.torch import TorchBackend
from retouch.diffusion.preview import to_uint8
from retouch.engine.cost_model import Cost
from retouch.engine.denoiser import Denoiser
from retouch.engine.reference_store import ReferenceStore
from retouch.families.registry import family_of
from retouch.imaging import images
from retouch.offline.text_encoder_loop import TextEncoderLoop
from retouch.util.content_cache import Cache
from retouch_export.checkpoint import Checkpoint
from retouch_export.qwen_image_21.denoiser import PART

EXACT = 1e-5  # largest error of our modules' latents
EXPORTED = 1e-3  # of the graphs', relative
SENTENCE = "make the red circle blue"
SENTENCES = (SENTENCE, "", "remove it\n and <draw> é 汉字 there " * 4)
NEGATIVE = "blurry"
WIDE, TALL, SQUARE = (60, 100), (110, 50), (90, 90)
TARGETS = ((64, 64), (128, 96))


@dataclass(frozen=True)
class Case:
    """An edit of photos of `sizes`, the first of which is edited."""

    sizes: tuple[tuple[int, int], ...]
    seed: int = 0
    steps: int = 2
    true_cfg: float = 1.0
    sentence: str = SENTENCE
    size: tuple[int, int] | None = None  # of the target; None is the edited photo's

    @property
    def photos(self):
        return [photo(size, number) for number, size in enumerate(self.sizes)]


CASES = (
    Case((WIDE,)),
    Case((TALL,), seed=7, steps=3, true_cfg=3.0),
    Case((SQUARE,), seed=7, true_cfg=2.0, sentence=SENTENCES[2]),
    Case((WIDE, SQUARE, TALL), steps=3),
    Case((TALL, WIDE, WIDE), seed=7, true_cfg=3.0, sentence=""),
    Case((WIDE, *(SQUARE, TALL, WIDE) * 3), sentence="<image1> beside <image10>"),
)


def photo(size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        small_images(patch)
        yield


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return make_published("qwen-image-21", tmp_path_factory.mktemp("qwen-image-21"))


@pytest.fixture(scope="module")
def pipeline(checkpoint):
    return load_pipeline(checkpoint)


class Counted(TorchGraphs):
    """Counts the runs of all graphs, and the tokens that the text model runs."""

    counts = Counter()

    def __init__(self, graphs, folder, graph, keep=()):
        super().__init__(graphs, folder, graph, keep)
        self._name = f"{folder.parent.name} {graph}".removesuffix(" model")

    def run(self, **inputs):
        self.counts[self._name] += 1
        if "input_ids" in inputs:
            self.counts["tokens"] += len(joined(inputs["input_ids"])[0])
        return super().run(**inputs)


@pytest.fixture(scope="module")
def loop(checkpoint, tmp_path_factory, small):
    """Our modules in torch; nothing is traced."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(qwen_image_edit_tiny, "TorchGraphs", Counted)
        return torch_loop(Checkpoint(checkpoint), tmp_path_factory.mktemp("torch"))


@pytest.fixture(scope="module")
def repository(checkpoint, tmp_path_factory, small):
    path = tmp_path_factory.mktemp("repository")
    exported(checkpoint, "--repository", path)
    return path


@pytest.fixture(scope="module")
def graphs(repository):
    """The exported graphs in float32, as the pipeline is."""
    runner = partial(OnnxBackend, rounded=False)
    return TextEncoderLoop(repository, backend=runner, others=runner)


def theirs(pipeline, case, output_type="latent", size=None, use_kv_cache=True):
    """What the pipeline answers for a target of `size`, by default the edited photo's."""
    height, width = size or target_size(case)
    return pipeline(
        image=[Image.fromarray(pixels) for pixels in case.photos],
        prompt=case.sentence,
        negative_prompt=NEGATIVE if case.true_cfg > 1 else None,
        true_cfg_scale=case.true_cfg,
        height=height,
        width=width,
        num_inference_steps=case.steps,
        generator=torch.Generator().manual_seed(case.seed),
        output_resolution=SIDE,
        output_type=output_type,
        use_kv_cache=use_kv_cache,
    ).images[0]


def target_size(case):
    height, width, _ = case.photos[0].shape
    columns, rows, _ = calculate_dimensions(SIDE * SIDE, width / height)
    return rows, columns


def request(loop, case):
    made = loop.request(
        case.photos, case.sentence, case.seed, case.steps, 0.0, NEGATIVE, case.true_cfg
    )
    if case.size is None:
        return made
    rows, columns = (side // CELL for side in case.size)
    shape = len(made.latents), rows, columns
    return replace(made, target_shape=shape, region=np.ones(rows * columns, bool))


def ours(loop, case):
    *_, last = loop.denoiser.run(request(loop, case))
    return loop.denoiser.family.pack(last.latents)


# -- the pipeline's latents and images -------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=str)
def test_latents_of_our_modules(pipeline, loop, case):
    expected = theirs(pipeline, case).numpy()
    assert np.abs(ours(loop, case) - expected).max() <= EXACT


@pytest.mark.parametrize("case", CASES[1::2], ids=str)
def test_latents_of_the_pipeline_without_its_cache(pipeline, loop, case):
    expected = theirs(pipeline, case, use_kv_cache=False).numpy()
    assert np.abs(ours(loop, case) - expected).max() <= EXACT


@pytest.mark.parametrize("case", CASES[::2], ids=str)
def test_latents_of_the_graphs(loop, graphs, case):
    """Our modules are the pipeline's, by the test before."""
    expected = ours(loop, case)
    assert np.abs(ours(graphs, case) - expected).max() <= EXPORTED * np.abs(expected).max()


@pytest.mark.parametrize("sentence", SENTENCES)
def test_prompt_embeds(pipeline, loop, sentence):
    """Those of the texts; the pipeline's at the photos' places are read by nobody."""
    photos = [photo(WIDE), photo(SQUARE, 1)]
    size = loop.denoiser.family.size
    images = [
        pipeline.image_processor.resize(Image.fromarray(pixels).convert("RGBA"), *size(*shape[:2]))
        for pixels, shape in ((pixels, pixels.shape) for pixels in photos)
    ]
    expected, mask, is_photo = pipeline.encode_prompt(sentence, images)
    assert mask is None
    embeds = loop.text_encoder.encode_text(sentence, photos)["prompt_embeds"]
    assert np.abs(embeds - expected[~is_photo].detach().numpy()).max() <= EXACT


def test_the_decoded_image(pipeline, loop):
    """Colours and opacity."""
    case = CASES[0]
    decoded = loop.decoder._backend.run(latents=request_result(loop, case)[None])["pixels"][0]
    expected = theirs(pipeline, case, output_type="np")
    assert expected.shape[2] == 4 and expected[..., 3].std() > 0.01
    assert np.abs(decoded.transpose(1, 2, 0) / 2 + 0.5 - expected).max() <= EXACT


def test_the_latents_of_a_transparent_photo(pipeline, loop):
    """The autoencoder's are the pipeline's; the text encoder sees the photo on white."""
    alpha = np.tile(np.arange(0, 200, 2, np.uint8), (60, 1))
    see_through = np.dstack([photo(WIDE), alpha])
    height, width = loop.denoiser.family.size(*WIDE)
    fitted = images.fit(see_through, (height, width))
    processed = pipeline.image_processor.preprocess(Image.fromarray(see_through), height, width)
    encoded = pipeline._encode_vae_image(processed.unsqueeze(2), None)[0, :, 0].detach().numpy()
    assert np.abs(loop.encoder.run(fitted[None])[0] - encoded).max() <= EXACT
    opaque = loop.encoder.run(fitted[None, ..., :3])[0]
    assert np.abs(opaque - encoded).max() > 0.1


def request_result(loop, case):
    *_, last = loop.denoiser.run(request(loop, case))
    return last.latents


def test_a_checkpoints_own_sigmas(pipeline, loop, monkeypatch):
    """As Qwen-Image 2.1 Turbo has them: they count where the steps are as many."""
    sigmas = [1.0, 0.8, 0.45]
    family = loop.denoiser.family
    monkeypatch.setattr(family, "schedule", replace(family.schedule, levels=tuple(sigmas)))
    case = Case((WIDE,), steps=3)
    plain = theirs(pipeline, case).numpy()
    pipeline.register_to_config(sample_sigmas=sigmas)
    try:
        expected = theirs(pipeline, case).numpy()
    finally:
        pipeline.register_to_config(sample_sigmas=None)
    assert np.abs(ours(loop, case) - expected).max() <= EXACT < np.abs(expected - plain).max()


def test_a_checkpoint_with_sigmas_says_its_steps(checkpoint):
    turbo = Checkpoint(checkpoint)
    turbo.config["sample_sigmas"] = [1.0, 0.8, 0.45]
    lanes = [
        family_of("qwen-image-21", PART.settings(made)) for made in (turbo, Checkpoint(checkpoint))
    ]
    assert [lane.steps for lane in lanes] == [3, 40]
    assert [lane.schedule.levels for lane in lanes] == [(1.0, 0.8, 0.45), ()]


# -- what a photo's keys and values depend on ------------------------------------------------------


def layers_of(pipeline, case, size, tokens):
    """Keys and values of the first tokens in every layer, as the pipeline's first step keeps
    them: [layers, 2, tokens, heads, head size]."""
    caches = []
    original = transformer_qwenimage21.QwenImage21KVLayerCache.store

    def store(cache, k, v):
        caches.append(torch.stack([k[0, :tokens], v[0, :tokens]]).numpy())
        original(cache, k, v)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformer_qwenimage21.QwenImage21KVLayerCache, "store", store)
        theirs(pipeline, case, size=size)
    return np.stack(caches)


def kept(reference):
    """Keys and values of the denoiser as `layers_of` has the pipeline's."""
    return np.stack([np.asarray(reference[name])[0] for name in ("k", "v")], 1)


def test_a_photos_keys_and_values_are_the_same_for_all(pipeline, loop):
    """Of three sentences, two seeds, two sizes of the target and two users: ours bit for bit, each
    computed anew, and the pipeline's but for its rounding, which depends on the length."""
    made = []
    for number, sentence in enumerate(SENTENCES):
        case = Case((WIDE,), seed=number % 2, sentence=sentence)
        forget(loop)
        edit = loop.denoiser.begin(request(loop, case))
        loop.denoiser.prepare(edit)
        made.append(kept(edit.reference))
        loop.denoiser.end(edit)
    for other in made[1:]:
        np.testing.assert_array_equal(other, made[0])
    for sentence, size in zip(SENTENCES, (None, (96, 64), (64, 128))):
        case = Case((WIDE,), sentence=sentence)
        pipelines = layers_of(pipeline, case, size, made[0].shape[2])
        assert np.abs(pipelines - made[0]).max() <= EXACT


@pytest.mark.parametrize("size", TARGETS)
def test_targets_of_other_sizes(pipeline, loop, size):
    case = Case((WIDE, TALL), seed=3, size=size)
    assert np.abs(ours(loop, case) - theirs(pipeline, case, size=size).numpy()).max() <= EXACT


# -- what a request computes -----------------------------------------------------------------------


@pytest.mark.parametrize("size", TARGETS)
def test_a_target_of_another_size_uses_what_is_kept_of_its_photo(counted, size):
    runs(counted, Case((WIDE,)))
    second = runs(counted, Case((WIDE,), seed=3, sentence="a b", size=size))
    assert second.pop("tokens") < 30
    assert second == {"vl_parser language": 1, "denoiser_bf16 prefix": 1}


def forget(loop):
    """Empty all caches."""
    loop.denoiser.references = ReferenceStore(1 << 30)
    loop.text_encoder.states = Cache(1 << 30)
    loop.encoder.cache = Cache(1 << 30)


@pytest.fixture()
def counted(loop):
    """The loop, as after a start."""
    forget(loop)
    Counted.counts.clear()
    yield loop
    forget(loop)


def runs(loop, case):
    """The counts of one edit."""
    Counted.counts.clear()
    ours(loop, case)
    counts = dict(Counted.counts)
    assert counts.pop("denoiser_bf16 step") == case.steps * (1 + (case.true_cfg > 1))
    return counts


def test_a_second_request_computes_its_sentence_alone(counted):
    first = runs(counted, Case((WIDE,)))
    assert first.pop("tokens") > 30
    assert first == {
        "vae_encoder": 1,
        "vl_parser vision": 1,
        "vl_parser language": 2,
        "denoiser_bf16 reference": 1,
        "denoiser_bf16 prefix": 1,
    }
    second = runs(counted, Case((WIDE,), seed=7, sentence="a b", true_cfg=3.0))
    assert second.pop("tokens") < 30
    assert second == {"vl_parser language": 2, "denoiser_bf16 prefix": 2}


def test_another_user_runs_no_photo(counted, pipeline):
    """Two endpoints, three sentences, two sizes of the target: after the first request no other
    runs the vision tower, the autoencoder's encoder or the photo's block."""
    stages = EditStages(counted)
    file = images.encode(photo(WIDE))
    counts = []
    sentences = (*SENTENCES[::2], "a b", SENTENCE)
    for number, (sentence, size) in enumerate(zip(sentences, ("auto", "64x96") * 2)):
        Counted.counts.clear()
        asked = EditRequest(file, sentence, seed=number, steps=2, size=size)
        *_, last = stages.endpoint().edit(asked)
        counts.append(dict(Counted.counts))
        case = Case((WIDE,), number, sentence=sentence)
        expected = theirs(pipeline, case, "np", None if size == "auto" else (96, 64))
        opaque = images.on_white(to_uint8(expected * 2 - 1))
        answered = images.decode(last.image)
        if size == "auto":
            opaque = images.fit(opaque, WIDE)
        assert np.abs(answered.astype(int) - opaque).max() <= 1
    photos = ("vae_encoder", "vl_parser vision", "denoiser_bf16 reference")
    assert [counts[0][name] for name in photos] == [1, 1, 1]
    for later in counts[1:]:
        assert not set(photos) & set(later) and later["denoiser_bf16 step"] == 2


def test_photos_share_what_is_equal_from_the_front(counted):
    """A photo's keys and values depend on the photos before it."""
    runs(counted, Case((WIDE,)))
    longer = runs(counted, Case((WIDE, SQUARE)))
    assert longer["denoiser_bf16 reference"] == longer["vl_parser vision"] == 1
    assert longer["vae_encoder"] == 1
    longest = runs(counted, Case((WIDE, SQUARE, TALL)))
    assert longest["denoiser_bf16 reference"] == longest["vl_parser vision"] == 1
    again = runs(counted, Case((WIDE, SQUARE), seed=7))
    assert "denoiser_bf16 reference" not in again and "vl_parser vision" not in again


def test_a_photo_is_kept_once(counted):
    """A chain of photos has the keys and values of its own photos alone."""
    references = counted.denoiser.references
    kept_bytes = []
    for sizes in ((WIDE,), (WIDE, SQUARE), (WIDE, SQUARE, TALL)):
        ours(counted, Case(sizes))
        kept_bytes.append(references.counts.bytes)
    case = Case((WIDE, SQUARE, TALL))
    edit = counted.denoiser.begin(request(counted, case))
    counted.denoiser.prepare(edit)
    assert kept_bytes[0] < kept_bytes[1] < kept_bytes[2] == kept(edit.reference).nbytes
    counted.denoiser.end(edit)


def test_evicted_keys_and_values_are_computed_again(counted):
    counted.denoiser.references.kept.limit = 0
    edits = [ours(counted, Case((WIDE, SQUARE), seed=7)) for _ in range(2)]
    np.testing.assert_array_equal(*edits)
    assert Counted.counts["denoiser_bf16 reference"] == 4
    assert counted.denoiser.references.counts.bytes == 0


@pytest.fixture(scope="module")
def kept_on_a_device(repository):
    """A denoiser by torch; what its graphs keep stays on their device, which is the CPU."""
    folder = repository / "denoiser_bf16" / "1"
    return Denoiser(folder, partial(TorchBackend, device="cpu", compiled=False))


def last_latents(denoiser, asked):
    *_, last = denoiser.run(asked)
    return last.latents


def test_keys_and_values_come_back_from_host_memory(loop, kept_on_a_device):
    """The first tier keeps nothing beyond an edit, so that all goes to the second."""
    asked = request(loop, Case((WIDE, SQUARE)))
    denoiser = kept_on_a_device
    edits = []
    for store in (ReferenceStore(1 << 30), ReferenceStore(0, 1 << 30, cost=Cost(copy=0.0))):
        denoiser.references = store
        edits += [last_latents(denoiser, asked) for _ in range(2)]
    assert store.host.counts.hits == 2 and store.kept.counts.bytes == 0
    for other in edits[1:]:
        np.testing.assert_array_equal(other, edits[0])


@pytest.mark.parametrize("fp8, least", (("v", 30), ("kv", 20)))
def test_keys_and_values_in_fp8(loop, kept_on_a_device, fp8, least):
    """Every later edit is as the first, by numpy and by torch."""
    asked = request(loop, Case((WIDE, SQUARE)))
    for denoiser in (loop.denoiser, kept_on_a_device):
        denoiser.references = ReferenceStore(1 << 30)
        exact = last_latents(denoiser, asked)
        denoiser.references = ReferenceStore(1 << 30, fp8=fp8)
        first, again = (last_latents(denoiser, asked) for _ in range(2))
        np.testing.assert_array_equal(first, again)
        error = np.mean((first - exact) ** 2) / np.mean(exact**2)
        assert error > 0 and -10 * np.log10(error) > least
    forget(loop)


def test_edits_share_a_step(loop):
    """Each as it is alone, but for rounding."""
    cases = [Case((WIDE,), seed=seed, sentence=text) for seed, text in enumerate(("a b", "c d"))]
    edits = [loop.denoiser.begin(request(loop, case)) for case in cases]
    assert len({edit.batch_key for edit in edits}) == 1
    while edits[0].steps:
        last = loop.denoiser.step(edits)
    for edit, progress, case in zip(edits, last, cases):
        loop.denoiser.end(edit)
        together = loop.denoiser.family.pack(progress.latents)
        assert np.abs(together - ours(loop, case)).max() <= EXACT


def test_lanes_have_all_graphs(repository):
    manifest = verify(repository / "denoiser_bf16" / "1")
    assert {"reference.onnx", "prefix.onnx", "step.onnx"} <= set(manifest.files)


def test_outside_of_a_mask_every_bit_is_the_sources(loop):
    assert_outside_is_the_sources(loop, ((70, 90), (80, 80), (50, 130)), steps=2)
