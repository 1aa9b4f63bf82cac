"""InstructX with a parser laid out as the real Qwen2.5-VL: tokens of 28 pixels, windows, its own
kind of tokenizer and image processor.

The transformer's cells have 16 pixels, so the parser sees the image at another size and in other
tokens."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from exports import exported
from instructx_tiny import LANGUAGE, QWEN, SAID, Made, language_model, make_checkpoint, processor
from qwen_image_edit_tiny import make_tokenizer
from retouch.api.errors import RequestError
from retouch.api.request import EditRequest
from retouch.backends.onnx import OnnxBackend
from retouch.diffusion.region_buckets import rounded
from retouch.families.denoise_request import DenoiseRequest
from retouch.families.instructx.pipeline import RetouchPipeline
from retouch.families.instructx.prompt import IMAGE_PAD, MAX_TOKENS, PromptWriter
from retouch.families.qwen_vl.patches import PatchLayout
from retouch.families.qwen_vl.rope import Rope
from retouch.imaging import images
from retouch.networks.instructx import MetaQueries
from retouch.networks.qwen_vl import encode_image, encode_queries
from retouch.offline.plain_loop import PlainLoop
from tiny import shake

SIZES = ((144, 144), (112, 160), (160, 112))
PIXELS = 56 * 56, 24 * 28 * 28
SENTENCES = ("make the red circle blue", "", "remove the circle, then " * 200)
ODD = (
    (117, 203),
    (31, 90),
    (64, 64),
    (400, 250),
)  # of photos, in pixels; some below and above the processor's limits
KINDS = {
    "16 queries, an adapter": Made(QWEN, sizes=SIZES, pixels=PIXELS, adapted=True, presence=True),
    "256 queries, a plain transformer": Made(QWEN, 256, beside=False, sizes=SIZES, pixels=PIXELS),
}


def picture(size, seed=3):
    coarse = np.random.default_rng(seed).integers(
        0, 256, (size[0] // 8 + 1, size[1] // 8 + 1, 3), np.uint8
    )
    return np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))


def relative(ours, theirs):
    return np.abs(np.asarray(ours) - np.asarray(theirs)).max() / np.abs(np.asarray(theirs)).max()


# -- the passes in torch, against transformers -----------------------------------------------------


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    made = language_model(tokenizer, QWEN)
    shake(made)
    return made, tokenizer


def layout_of(tmp_path, model):
    """By the file that transformers' own processor writes."""
    kind = Made(QWEN, pixels=PIXELS)
    processor(kind).save_pretrained(tmp_path / "image_processor")
    return PatchLayout.of_checkpoint(model.config.vision_config.to_dict(), tmp_path), processor(
        kind
    )


@pytest.mark.parametrize("count", (8, 256))
@pytest.mark.parametrize("sentence", SENTENCES, ids=("plain", "empty", "long"))
@pytest.mark.parametrize("size", ODD)
@torch.no_grad()
def test_hidden_states(tmp_path, model, size, sentence, count):
    """A photo of any size as the processor prepares it, then the whole model with meta-queries
    after the prompt."""
    (network, tokenizer) = model
    queries = MetaQueries(count, LANGUAGE)
    photo = picture(size)
    layout, theirs = layout_of(tmp_path, network)
    prepared = theirs(photo, return_tensors="pt")
    seen = images.fit(photo, layout.size(*size), Image.Resampling.BICUBIC)
    grid = layout.grid(*seen.shape[:2])
    assert prepared["image_grid_thw"].tolist() == [[1, 2 * grid[0], 2 * grid[1]]]
    np.testing.assert_allclose(layout.patches(seen[None])[0], prepared["pixel_values"], atol=1e-6)

    writer = PromptWriter(tokenizer.backend_tokenizer, count)
    prompts = writer.write([sentence], grid)
    assert prompts.ids.shape[1] <= MAX_TOKENS + 3 + grid[0] * grid[1] + count
    ids = torch.from_numpy(prompts.ids)
    kinds = (ids == writer.tokenizer.token_to_id(IMAGE_PAD)).int()
    positions, _ = network.model.get_rope_index(
        ids, kinds, image_grid_thw=prepared["image_grid_thw"]
    )
    np.testing.assert_array_equal(prompts.positions, positions)
    embedded = network.get_input_embeddings()(ids)
    embedded[0, prompts.query_index[0]] = queries.weight
    hidden = network.model(
        input_ids=ids, inputs_embeds=embedded, position_ids=positions, **prepared
    )
    hidden = hidden.last_hidden_state[0]

    tokens = encode_image(
        network.model.visual, *map(torch.from_numpy, layout.inputs(seen[None]).values())
    )
    tables = Rope.of(network.config.text_config).tables(prompts.positions)
    arrays = map(torch.from_numpy, (prompts.ids, prompts.image_index, prompts.query_index, *tables))
    query_states, image = encode_queries(network.model, queries, tokens, *arrays)
    assert relative(query_states[0], hidden[prompts.query_index[0]]) <= 1e-5
    assert relative(image[0], hidden[prompts.image_index[0]]) <= 1e-5


# -- a checkpoint, exported ------------------------------------------------------------------------


@pytest.fixture(scope="module", params=KINDS.values(), ids=KINDS)
def made(request, tmp_path_factory):
    folder = make_checkpoint(tmp_path_factory.mktemp("qwen"), make_tokenizer(), request.param)
    repository = tmp_path_factory.mktemp("qwen repository")
    exported(folder, "--repository", repository)
    stages = PlainLoop(repository, backend=partial(OnnxBackend, rounded=False))
    return request.param, RetouchPipeline.from_pretrained(folder), stages


@pytest.mark.parametrize("sentence", SENTENCES, ids=("plain", "empty", "long"))
@pytest.mark.parametrize("size", SIZES)
def test_what_the_parser_says(made, size, sentence):
    kind, pipeline, stages = made
    pixels = picture(size)
    (parsed,) = stages.parser.run(pixels[None], [sentence])
    reading = pipeline.parse(pixels, sentence)
    assert reading.conditioning.shape == (1, kind.queries, SAID)
    assert relative(stages.connector.run(parsed.queries[None]), reading.conditioning) <= 1e-3
    np.testing.assert_allclose(parsed.boxes[None], reading.boxes, atol=1e-3)
    assert [operation.op for operation in parsed.operations] == [
        operation.op for operation in reading.operations
    ]
    assert parsed.assessment.confidence == pytest.approx(reading.assessment.confidence, abs=1e-3)
    assert parsed.assessment.reason == reading.assessment.reason
    assert parsed.region.shape == (size[0] * size[1] // 256,)
    np.testing.assert_array_equal(parsed.region, reading.region)


@pytest.mark.parametrize("photo", ODD)
def test_a_whole_edit(made, photo):
    """From a photo to its latents, by the pipeline and by the plain loop over the stages."""
    _, pipeline, stages = made
    source = picture(photo)
    size = stages.denoiser.family.size(*photo)
    pixels = images.fit(source, size)
    assert size in SIZES
    grid = size[0] // 16, size[1] // 16
    region = rounded(np.random.default_rng(0).random(grid[0] * grid[1]) <= 0.4, grid)
    expected = pipeline(
        Image.fromarray(source), SENTENCES[0], seed=5, steps=4, region=region, output_type="latent"
    ).image
    (parsed,) = stages.parser.run(pixels[None], SENTENCES[:1])
    *_, last = stages.denoise(pixels, parsed, region, 5, 4)
    assert relative(last.latents, expected[0]) <= 1e-3


def test_the_picture_is_the_pipelines(made):
    _, pipeline, stages = made
    source = picture(ODD[0])
    theirs = np.asarray(pipeline(Image.fromarray(source), SENTENCES[0], seed=5, steps=3).image)
    file = stages.edit(
        EditRequest(images.encode(source), SENTENCES[0], seed=5, steps=3, detail="off")
    )
    near = np.abs(images.decode(file).astype(int) - theirs) <= 1
    assert (
        near.mean() > 0.999
    )  # a pixel that moves by KEEP_BELOW in one and by less in the other is the source's there


def test_it_takes_one_image(made):
    _, _, stages = made
    latents = stages.encoder.run(picture(SIZES[0])[None])[0]
    with pytest.raises(RequestError, match="takes 0 reference images"):
        stages.denoiser.begin(
            DenoiseRequest(latents, {}, np.ones(81, bool), 0, extra_references=(latents,))
        )
