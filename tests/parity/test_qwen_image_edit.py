"""Qwen-Image-Edit against diffusers' pipelines, stage by stage: a failure names its stage."""

from __future__ import annotations

import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from beside import psnr
from exports import exported
from outside import assert_outside_is_the_sources
from qwen_image_edit_stages import SENTENCE, Stages
from qwen_image_edit_tiny import load_pipeline, make_checkpoint, small_images, torch_loop
from retouch.api.request import EditRequest
from retouch.artifacts.manifest import verify
from retouch.backends.onnx import OnnxBackend
from retouch.families.qwen_vl import chat
from retouch.imaging.images import decode, encode
from retouch.offline.text_encoder_loop import TextEncoderLoop
from retouch_export import policy
from retouch_export.checkpoint import Checkpoint
from retouch_export.parts import stages_of

TOLERANCE = 1e-5
ONNX_TOLERANCE = 1e-3  # of our torch path, and relative of the graphs
INSTRUCTIONS = ("", " ", SENTENCE, "\n\n two lines\nof text\n", "é ½ 汉字 " * 40)
# (height, width) of photos; of several, the first is edited
PHOTOS = ([(60, 100)], [(100, 60)], [(83, 79)], [(45, 141)])
MORE = ([(61, 97), (100, 60)], [(90, 90), (50, 150), (75, 64)])
KINDS = {"one": (False, False), "several": (True, False), "several-2511": (True, True)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("qwen-image-edit")


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        small_images(patch)
        yield


def torch_stages(folder, several, zero_cond_t):
    path = make_checkpoint(folder / "checkpoint", several, zero_cond_t)
    return Stages(
        path, load_pipeline(path, several), torch_loop(Checkpoint(path), folder / "repository")
    )


@pytest.fixture(scope="module", params=KINDS, ids=str)
def stages(request, folder):
    return torch_stages(folder / request.param, *KINDS[request.param])


def close(ours, theirs, tolerance=TOLERANCE):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * max(1, np.abs(theirs).max()))


def sizes_for(stages):
    """Photos that its pipeline takes."""
    return [*PHOTOS, *(MORE if stages.several else ())]


def test_what_the_text_model_is_given(stages):
    """Token ids, rotary positions and patches."""
    pipeline = stages.pipeline
    reader = stages.text_encoder
    for sizes in sizes_for(stages):
        photos = stages.photos(sizes)
        pictures = "".join(reader._writer._picture.format(i + 1) for i in range(len(photos)))
        for sentence in INSTRUCTIONS:
            theirs = pipeline.processor(
                text=[pipeline.prompt_template_encode.format(pictures + sentence)],
                images=stages.seen(photos),
                return_tensors="pt",
            )
            pixels = [reader.prepared(photo) for photo in photos]
            grids = [
                (image.shape[0] // reader._layout.cell, image.shape[1] // reader._layout.cell)
                for image in pixels
            ]
            ours = reader._writer.write(sentence, grids)
            np.testing.assert_array_equal(ours.ids, theirs["input_ids"][0])
            image_pad = pipeline.text_encoder.config.image_token_id
            np.testing.assert_array_equal(ours.image_index, np.flatnonzero(ours.ids == image_pad))
            positions, _ = pipeline.text_encoder.model.get_rope_index(
                theirs["input_ids"],
                (theirs["input_ids"] == image_pad).int(),
                image_grid_thw=theirs["image_grid_thw"],
            )
            np.testing.assert_array_equal(ours.positions, positions[:, 0])
            patches = np.concatenate([reader._layout.patches(image[None])[0] for image in pixels])
            close(patches, theirs["pixel_values"].numpy(), 1e-6)


def test_conditioning(stages):
    for sizes in sizes_for(stages):
        photos = stages.photos(sizes)
        for sentence in (SENTENCE, *INSTRUCTIONS):
            theirs, mask = stages.pipeline.encode_prompt(sentence, stages.seen(photos))
            assert mask is None
            close(
                stages.text_encoder.encode_text(sentence, photos)["prompt_embeds"],
                theirs[0].detach().numpy(),
            )


def test_stock_diffusers_differs_by_the_positions_alone(stages, monkeypatch):
    """Its words and photos' tokens are numbered one by one."""
    if not stages.several:
        pytest.skip("one pipeline is enough")
    monkeypatch.setattr(
        chat,
        "photo_positions",
        lambda grid, start: start + np.tile(np.arange(np.prod(grid)), (3, 1)),
    )
    monkeypatch.setattr(chat, "max", np.prod, raising=False)
    photos = stages.photos(MORE[0])
    theirs, _ = load_pipeline(stages.path, True, fixed=False).encode_prompt(
        SENTENCE, stages.seen(photos)
    )
    close(
        stages.text_encoder.encode_text(SENTENCE, photos)["prompt_embeds"],
        theirs[0].detach().numpy(),
    )


def test_special_tokens_of_an_instruction_are_plain_text(stages):
    photos = stages.photos(PHOTOS[0])
    ids = stages.text_encoder._writer.write("<|im_end|><|image_pad|>", [(2, 3)]).ids
    image_pad = stages.pipeline.text_encoder.config.image_token_id
    assert (ids == image_pad).sum() == 6
    assert stages.text_encoder.encode_text("<|image_pad|>", photos)["prompt_embeds"].shape[1] == 48


def test_too_many_photos_are_refused(stages):
    for count in (0, 4 if stages.several else 2):
        with pytest.raises(ValueError, match=f"there are {count} photos"):
            stages.text_encoder.encode_text(SENTENCE, stages.photos([(60, 60)] * count))


def test_latents_noise_and_positions(stages):
    pipeline = stages.pipeline
    family = stages.family
    for sizes in sizes_for(stages):
        photos = stages.photos(sizes)
        images = [
            pipeline.image_processor.preprocess(
                Image.fromarray(photo), *family.size(*photo.shape[:2])
            )[:, :, None]
            for photo in photos
        ]
        height, width = family.size(*photos[0].shape[:2])
        channels = pipeline.transformer.config.in_channels // 4
        noise, sources = pipeline.prepare_latents(
            images if stages.several else images[0],
            1,
            channels,
            height,
            width,
            torch.float32,
            "cpu",
            torch.Generator().manual_seed(3),
        )
        latents = [stages.latents(photo) for photo in photos]
        close(
            np.concatenate([family.pack(latent) for latent in latents]), sources[0].detach().numpy()
        )
        close(family.noise(3, latents[0]), noise[0].numpy(), 2e-6)
        shapes = [[(1, *family.grid(latent)) for latent in (latents[0], *latents)]]
        image, text = pipeline.transformer.pos_embed(
            shapes, max_txt_seq_len=77, device=torch.device("cpu")
        )
        fixed = family.constant_inputs(
            SimpleNamespace(latents=latents[0], extra_references=latents[1:]),
            {"prompt_embeds": np.zeros((77, 48))},
            None,
        )
        for ours, theirs in ((fixed["rope"], image), (fixed["text_rope"], text)):
            close(ours[0], np.stack([theirs.real, theirs.imag], 1))


def test_one_velocity(stages):
    """And the timestep that it is of."""
    seen = []
    hook = stages.pipeline.transformer.register_forward_hook(
        lambda module, _, inputs, answer: seen.append((inputs["timestep"], answer[0])),
        with_kwargs=True,
    )
    try:
        photos = stages.photos(sizes_for(stages)[-1])
        stages.theirs(photos, steps=4)
    finally:
        hook.remove()
    edit = stages.denoiser.begin(stages.denoise_request(photos, steps=4))
    close(edit._sigmas, stages.pipeline.scheduler.sigmas.numpy(), 0)
    (inputs,) = edit.inputs()
    close(inputs["timestep"] / 1000, seen[0][0].numpy(), 0)
    ours = stages.denoiser._step.run(**inputs)["velocity"][0]
    close(ours, seen[0][1][0, : len(ours)].numpy())


@pytest.mark.parametrize("true_cfg", (1.0, 4.0))
@pytest.mark.parametrize("seed, steps", [(0, 2), (2**33 + 5, 5)])
def test_a_whole_edit(stages, seed, steps, true_cfg):
    for sizes in sizes_for(stages):
        options = dict(photos=stages.photos(sizes), seed=seed, steps=steps, true_cfg=true_cfg)
        close(stages.family.pack(stages.final(**options)), stages.theirs(**options).numpy())


def test_the_decoded_image(stages):
    options = dict(photos=stages.photos(PHOTOS[0]), true_cfg=2.5)
    ours = stages.loop.decoder._backend.run(latents=stages.final(**options)[None])["pixels"][0]
    close(ours.transpose(1, 2, 0) / 2 + 0.5, stages.theirs(**options, output_type="np"))


@pytest.mark.parametrize("true_cfg", (1.0, 4.0))
def test_three_edits_share_a_step(stages, true_cfg):
    """Of different photos, sentences of one length, seeds and numbers of steps."""
    asked = [
        dict(
            photos=stages.photos(sizes_for(stages)[-1], seed),
            sentence=sentence,
            seed=seed,
            steps=steps,
            true_cfg=true_cfg,
        )
        for seed, (sentence, steps) in enumerate([("a b", 4), ("c d", 3), ("e f", 4)])
    ]
    edits = [stages.denoiser.begin(stages.denoise_request(**options)) for options in asked]
    assert len({edit.batch_key for edit in edits}) == 1
    last = {}
    while running := [edit for edit in edits if edit.steps]:
        last |= zip(map(id, running), stages.denoiser.step(running))
    for edit, options in zip(edits, asked):
        close(stages.family.pack(last[id(edit)].latents), stages.theirs(**options).numpy())


# -- the exported graphs ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def repository(folder, small):
    path = make_checkpoint(folder / "exported", True, zero_cond_t=True, blocks=4)
    exported(path, "--repository", folder / "repository")
    return folder / "repository"


def onnx_stages(folder, repository, rounded):
    runner = partial(OnnxBackend, rounded=rounded)
    path = folder / "exported"
    return Stages(
        path, load_pipeline(path, True), TextEncoderLoop(repository, backend=runner, others=runner)
    )


@pytest.mark.parametrize("sizes", [*PHOTOS[:3], *MORE], ids=str)
def test_graphs_without_rounding(folder, repository, sizes):
    stages = onnx_stages(folder, repository, rounded=False)
    for true_cfg in (1.0, 4.0):
        options = dict(photos=stages.photos(sizes), seed=1, steps=3, true_cfg=true_cfg)
        ours = stages.family.pack(stages.final(**options))
        theirs = stages.theirs(**options).numpy()
        assert np.abs(ours - theirs).max() <= ONNX_TOLERANCE * np.abs(theirs).max()


def test_the_bf16_lane_draws_the_same_picture(folder, repository):
    """As served: the pipeline's in float32 but for what bfloat16 rounds."""
    stages = onnx_stages(folder, repository, rounded=True)
    options = dict(photos=stages.photos(MORE[0]), seed=1, steps=4, true_cfg=4.0)
    ours = stages.loop.decoder.run(stages.final(**options)[None])[0]
    theirs = stages.theirs(**options, output_type="np")
    quality = psnr(ours, np.rint(theirs * 255))
    print(f"PSNR of the bf16 lane: {quality:.1f} dB")
    assert quality > 30


@pytest.fixture(scope="module")
def calibrated(folder, repository):
    """The checkpoint, with calibration pairs."""
    pairs = folder / "exported" / "calibration"
    pairs.mkdir()
    rng = np.random.default_rng(0)
    for index in range(2):
        (pairs / f"{index}.png").write_bytes(encode(rng.integers(0, 256, (60, 100, 3), np.uint8)))
    lines = [json.dumps({"image": f"{index}.png", "instruction": SENTENCE}) for index in range(2)]
    (pairs / "pairs.jsonl").write_text("\n".join(lines) + "\n")
    return folder / "exported"


def test_narrow_lanes(calibrated, repository, monkeypatch):
    """Calibrated on whole edits of the checkpoint's own pairs, as the bf16 lane makes them."""
    options = ("--precision", "fp8,fp4", "--only", "denoiser")
    monkeypatch.setattr(policy, "QWEN_ENDS", 1)  # of four blocks
    exported(calibrated, "--repository", repository, *options)
    rng = np.random.default_rng(2)
    lanes = {lane: TextEncoderLoop(repository, lane) for lane in ("bf16", "fp8", "fp4")}
    request = lanes["bf16"].request([rng.integers(0, 256, (90, 70, 3), np.uint8)], SENTENCE, 0, 1)
    moved = {}
    for lane, loop in lanes.items():
        *_, last = loop.denoiser.run(request)
        moved[lane] = last.latents
    errors = {
        lane: np.linalg.norm(moved[lane] - moved["bf16"]) / np.linalg.norm(moved["bf16"])
        for lane in ("fp8", "fp4")
    }
    print(f"errors of the narrow lanes: {errors}")
    assert 0 < errors["fp8"] < 0.1 and 0 < errors["fp4"] < 0.2
    assert set(verify(repository / "denoiser_fp4" / "1").weights) == {"bf16", "fp8", "nvfp4"}


def test_an_edit_by_a_typed_parser(calibrated, repository):
    """Whole edits, with the parser in bf16 and in fp8, against the one that every machine runs."""
    exported(calibrated, "--repository", repository, "--only", "vl_parser", "--parts", "fp8")
    photo = np.random.default_rng(3).integers(0, 256, (60, 100, 3), np.uint8)
    request = EditRequest(encode(photo), SENTENCE, seed=1, steps=4, format="png")
    pictures = {
        parser: decode(TextEncoderLoop(repository, parser=parser).edit(request))
        for parser in ("", "bf16", "fp8")
    }
    quality = {parser: psnr(pictures[parser], pictures[""]) for parser in ("bf16", "fp8")}
    print(f"PSNR by typed parsers: {quality}")
    assert quality["bf16"] >= 60 and 35 < quality["fp8"] < 60


def test_every_part_is_exported(repository):
    assert {path.parent.parent.name for path in repository.glob("*/1/manifest.json")} >= {
        stage.folder(repository, "bf16").parent.name for stage in stages_of("qwen-image-edit")
    }


def test_outside_of_a_mask_every_bit_is_the_sources(stages):
    assert_outside_is_the_sources(stages.loop, ((70, 90), (80, 80), (50, 130)), steps=2)
