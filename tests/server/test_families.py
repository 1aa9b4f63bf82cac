"""Each family on a real server: a tiny checkpoint by diffusers' own `save_pretrained`, renamed as
published files are, exported, and edits that come back as the pipeline gives them from the same
seed."""

from __future__ import annotations

import asyncio
import io
import json
import math
import re
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import Flux2KleinKVPipeline, Flux2KleinPipeline, FluxKontextPipeline
from PIL import Image

import flux2_dev_tiny
import klein_tiny
import qwen_image_21_tiny
import qwen_image_edit_tiny
from counts import counted, page_of, settled
from exports import exported
from families_tiny import make_published
from instructx_heads import EXAMPLES
from instructx_tiny import QWEN, Made, make_checkpoint
from kontext_theirs import Case, Theirs
from retouch.api.errors import RequestError
from retouch.api.request import EditRequest
from retouch.artifacts import manifest
from retouch.backends.torch import TorchBackend
from retouch.client import AsyncRetouch, Retouch
from retouch.families.instructx.pipeline import RetouchPipeline
from retouch.families.qwen_image_21.sampling import TRANSPARENT
from retouch.families.registry import class_of, family_of
from retouch.imaging import images
from retouch.launcher.server import HOST, REPOSITORY, Server
from retouch.offline.plain_loop import PlainLoop
from retouch.offline.text_encoder_loop import TextEncoderLoop

SIZE = (64, 96)
SENTENCE = "make the red circle blue"
SEED = 2**33 + 7
STEPS = 4
NEAR = 50  # dB of the served PNG to the pipeline's
NEAR_TORCH = 49  # of the torch runner's PNG to ONNX Runtime's


@dataclass(frozen=True)
class Served:
    """A family's checkpoint, what its pipeline makes of photos, and what a request may ask beyond a
    plain one."""

    checkpoint: Path
    settings: dict[str, dict]  # by model: those of the real sizes that the tiny one's replace
    negatives: bool = False
    references: int = 0

    def theirs(self, photos: list[np.ndarray], **more) -> np.ndarray:
        raise NotImplementedError


class Kontext(Served):
    def theirs(self, photos, negative=None, true_cfg=1.0):
        case = Case(
            SIZE, seed=SEED, steps=STEPS, guidance=2.5, negative=negative, true_cfg=true_cfg
        )
        assert case.sentence == SENTENCE and np.array_equal(case.pixels, photos[0])
        pipeline = FluxKontextPipeline.from_pretrained(
            self.checkpoint
        )  # not made again: its tokenizers learn otherwise
        pipeline.set_progress_bar_config(disable=True)
        return Theirs(pipeline).run(case).image


class Klein(Served):
    """A base checkpoint: guidance is classifier-free, against an empty sentence by default."""

    def theirs(self, photos, negative="", true_cfg=4.0):
        pipeline = klein_tiny.load_pipeline(Flux2KleinPipeline, self.checkpoint)
        return np.asarray(
            pipeline(
                [*map(Image.fromarray, photos)],
                SENTENCE,
                num_inference_steps=STEPS,
                guidance_scale=true_cfg,
                negative_prompt_embeds=pipeline.encode_prompt(negative)[0],
                generator=torch.Generator().manual_seed(SEED),
            ).images[0]
        )


class KleinKV(Served):
    def pipeline(self):
        return klein_tiny.load_pipeline(Flux2KleinKVPipeline, self.checkpoint)

    def theirs(self, photos):
        return np.asarray(
            self.pipeline()(
                [*map(Image.fromarray, photos)],
                SENTENCE,
                num_inference_steps=STEPS,
                generator=torch.Generator().manual_seed(SEED),
            ).images[0]
        )


class Dev(KleinKV):
    """Guidance is an input of the network."""

    def pipeline(self):
        return flux2_dev_tiny.load_pipeline(self.checkpoint)


class Qwen(Served):
    def theirs(self, photos, negative=" ", true_cfg=4.0):
        pipeline = qwen_image_edit_tiny.load_pipeline(self.checkpoint, several=True)
        return np.asarray(
            pipeline(
                [*map(Image.fromarray, photos)],
                SENTENCE,
                negative_prompt=negative,
                true_cfg_scale=true_cfg,
                num_inference_steps=STEPS,
                height=SIZE[0],
                width=SIZE[1],
                generator=torch.Generator().manual_seed(SEED),
            ).images[0]
        )


class Qwen21(Served):
    """Its picture on white, where it is transparent."""

    def theirs(self, photos, negative=None, true_cfg=1.0):
        picture = self.with_opacity(photos, SENTENCE, negative, true_cfg).astype(float)
        share = picture[..., 3:] / 255
        return picture[..., :3] * share + 255 * (1 - share)

    def with_opacity(self, photos, sentence, negative=None, true_cfg=1.0, size=SIZE):
        pipeline = qwen_image_21_tiny.load_pipeline(self.checkpoint)
        return np.asarray(
            pipeline(
                sentence,
                [*map(Image.fromarray, photos)],
                negative,
                true_cfg,
                num_inference_steps=STEPS,
                height=size[0],
                width=size[1],
                generator=torch.Generator().manual_seed(SEED),
                output_resolution=qwen_image_21_tiny.SIDE,
            ).images[0]
        )


class InstructX(Served):
    def theirs(self, photos):
        pipeline = RetouchPipeline.from_pretrained(self.checkpoint)
        return np.asarray(
            pipeline(
                Image.fromarray(photos[0]), SENTENCE, seed=SEED, steps=STEPS, region="full"
            ).image
        )


@pytest.fixture(
    scope="module",
    params=[
        "instructx",
        "flux-kontext",
        "flux2-klein-kv",
        "flux2-klein",
        "flux2-dev",
        "qwen-image-edit",
        "qwen-image-21",
    ],
)
def family(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "flux-kontext":
            checkpoint = make_published(request.param, folder)
            yield Kontext(checkpoint, {"denoiser_bf16": {"sizes": [SIZE]}}, negatives=True)
        elif request.param == "instructx":
            # its parser in the real Qwen2.5-VL's layout
            made = Made(
                QWEN,
                sizes=((128, 128), SIZE),
                pixels=(56 * 56, 28 * 28 * 20),
                presence=True,
                photo=photos_of(1)[0],
            )
            yield InstructX(
                make_checkpoint(folder, qwen_image_edit_tiny.make_tokenizer(), made), {}
            )
        elif request.param == "flux2-klein-kv":
            klein_tiny.few_layers(patch)
            yield KleinKV(make_published(request.param, folder), {}, references=1)
        elif request.param == "flux2-klein":
            klein_tiny.few_layers(patch)
            yield Klein(make_published(request.param, folder), {}, negatives=True, references=1)
        elif request.param == "flux2-dev":
            flux2_dev_tiny.few_layers(patch)
            yield Dev(make_published(request.param, folder), {}, references=1)
        elif request.param == "qwen-image-21":
            qwen_image_21_tiny.small_images(patch)
            yield Qwen21(make_published(request.param, folder), {}, True, 1)
        else:
            qwen_image_edit_tiny.small_images(patch)
            area = {"area": qwen_image_edit_tiny.AREA}
            settings = {
                "denoiser_bf16": area,
                "vl_parser": {"seen_area": qwen_image_edit_tiny.SEEN_AREA},
            }
            yield Qwen(make_published(request.param, folder), settings, True, 1)


@pytest.fixture(scope="module")
def repository(family, tmp_path_factory):
    """The family's models, with the lane bf16."""
    folder = tmp_path_factory.mktemp("repository")
    artifacts = shutil.ignore_patterns(
        "*.onnx",
        "*.data",
        "*.npz",
        "manifest.json",
        "tokenizer*.json",
        "c*.json",
        "denoiser_*-*",
        "denoiser_fp?",
        "__pycache__",
    )
    repository = shutil.copytree(REPOSITORY, folder / "models", symlinks=False, ignore=artifacts)
    exported(family.checkpoint, "--repository", repository)
    for model, settings in family.settings.items():
        path = repository / model / "1" / "manifest.json"
        document = json.loads(path.read_text())
        document["settings"] |= settings
        path.write_text(json.dumps(document))
    return repository


@pytest.fixture(scope="module")
def running(repository):
    """A server of its own, with the lane bf16 in float32, as the pipelines are here."""
    folder = repository.parent
    config = repository / "denoiser_bf16" / "config.pbtxt"
    config.write_text(
        re.sub(
            r'(key: "runner"\s+value \{ string_value: )"onnx"',
            r'\1"onnx-float32"',
            config.read_text(),
        )
    )
    with Server(repository, log=folder / "server.log") as server:
        yield server


@pytest.fixture(scope="module")
def client(running):
    with Retouch(f"{HOST}:{running.grpc}") as kept:
        yield kept


def test_every_part_by_torch(repository):
    """The same edit as by ONNX Runtime, which rounds to bfloat16 between operations too. A server
    with the profile torch is in test_runners.py."""
    request = EditRequest(
        images.encode(photos_of(1)[0]), SENTENCE, SEED, STEPS, precision="bf16", region=b"full"
    )
    has_parser = class_of(manifest.read(repository / "vl_parser" / "1").family).has_parser
    loop = PlainLoop if has_parser else TextEncoderLoop
    backend = partial(TorchBackend, device="cpu", compiled=False)
    onnx = images.decode(loop(repository).edit(request))
    assert psnr(loop(repository, backend=backend, others=backend).edit(request), onnx) >= NEAR_TORCH


def photos_of(count: int) -> list[np.ndarray]:
    return [
        np.random.default_rng(number).integers(0, 256, (*SIZE, 3), np.uint8)
        for number in range(count)
    ]


def ours(client, photos, model="edit", http=False, **options):
    door = Retouch(client.url, http, model=model)
    asked = {"seed": SEED, "steps": STEPS, "precision": "bf16", "region": b"full"} | options
    sentence = asked.pop("instruction", SENTENCE)
    return list(
        door.edit(
            images.encode(photos[0]),
            sentence,
            references=tuple(map(images.encode, photos[1:])),
            **asked,
        )
    )


def psnr(encoded: bytes, theirs: np.ndarray) -> float:
    error = np.mean((np.asarray(Image.open(io.BytesIO(encoded))).astype(float) - theirs) ** 2)
    return 10 * math.log10(255**2 / error) if error else math.inf


def test_an_edit_is_the_pipelines(family, client):
    *previews, last = ours(client, photos_of(1), previews=2)
    assert len(previews) == 2 and last.final and last.info.steps == STEPS
    assert psnr(last.image, family.theirs(photos_of(1))) >= NEAR


def test_a_lane_tells_its_defaults(repository, running, client):
    """By both protocols and clients, and in INFO; a request takes them where it names nothing
    else."""
    lane = manifest.read(repository / "denoiser_bf16" / "1")
    expected = family_of(lane.family, lane.settings).defaults()
    assert expected["steps"] == lane.settings["default_steps"]

    async def by(port, http):
        async with AsyncRetouch(f"{HOST}:{port}", http=http) as asking:
            with pytest.raises(RequestError):
                await asking.defaults("fp3")
            return await asking.defaults("bf16")

    assert asyncio.run(by(running.grpc, False)) == asyncio.run(by(running.http, True)) == expected
    for blocking in (client, Retouch(f"{HOST}:{running.http}", http=True)):
        with pytest.raises(RequestError):
            blocking.defaults("fp3")
        assert blocking.defaults("bf16") == expected
    *_, last = ours(client, photos_of(1))
    assert last.info.defaults == expected
    assert last.info.true_cfg == expected.get("true_cfg", 1.0)
    assert last.info.guidance == expected.get("guidance", 0.0)


def test_the_ensemble_gives_the_same(client):
    by_doors = [
        ours(client, photos_of(1), model, region=b"auto")[-1].image
        for model in ("edit_ensemble", "edit")
    ]
    assert by_doors[0] == by_doors[1]


def test_a_negative_instruction(family, client):
    if not family.negatives:
        with pytest.raises(RequestError, match="NEGATIVE is not known to this checkpoint"):
            ours(client, photos_of(1), negative="blurry", true_cfg=3.0)
        return
    *_, last = ours(client, photos_of(1), negative="blurry", true_cfg=3.0)
    assert psnr(last.image, family.theirs(photos_of(1), negative="blurry", true_cfg=3.0)) >= NEAR
    with pytest.raises(RequestError, match="NEGATIVE counts with a TRUE_CFG above 1 only"):
        ours(client, photos_of(1), negative="blurry", true_cfg=1.0)


def test_references(family, client):
    if not family.references:
        with pytest.raises(
            RequestError,
            match="REFERENCES holds 1 images beside the edited one; this checkpoint takes 0",
        ):
            ours(client, photos_of(2))
        return
    *_, last = ours(client, photos_of(2))
    assert psnr(last.image, family.theirs(photos_of(2))) >= NEAR
    with pytest.raises(RequestError, match="REFERENCES cannot be sent to edit_ensemble"):
        ours(client, photos_of(2), model="edit_ensemble")


def test_a_transparent_background(family, client):
    if not isinstance(family, Qwen21):
        with pytest.raises(RequestError, match="use one of the family qwen-image-21"):
            ours(client, photos_of(1), background="transparent")
        return
    *_, last = ours(client, photos_of(1), background="transparent")
    sentence = TRANSPARENT.format(f"{SENTENCE}.")
    expected = family.with_opacity(photos_of(1), sentence)
    assert expected.shape[2] == 4 and psnr(last.image, expected) >= NEAR
    with pytest.raises(RequestError, match="FORMAT with transparency: png or webp"):
        ours(client, photos_of(1), background="transparent", format="jpeg")


def test_an_answer_of_another_size(family, client):
    if not isinstance(family, Qwen21):
        with pytest.raises(RequestError, match="SIZE is not known to this checkpoint"):
            ours(client, photos_of(1), size="64x96")
        return
    options = {"background": "transparent", "size": "64x128"}
    preview, last = ours(client, photos_of(1), previews=1, **options)
    expected = family.with_opacity(photos_of(1), TRANSPARENT.format(f"{SENTENCE}."), size=(128, 64))
    assert psnr(last.image, expected) >= NEAR
    assert last.info.region.share == 1.0 and not preview.final


def test_a_mask_holds_to_the_pixel(client):
    mask = np.zeros((*SIZE, 3), np.uint8)
    mask[:40, 20:70] = 255
    (photo,) = photos_of(1)
    edited = images.decode(ours(client, [photo], region=images.encode(mask))[-1].image)
    outside = mask[..., 0] == 0
    np.testing.assert_array_equal(edited[outside], photo[outside])
    assert (edited != photo)[~outside].any(-1).mean() > 0.5


def test_a_region_cache(repository, client):
    """A family without one refuses it. With one the outside of a mask stays, bit for bit."""
    lane = manifest.read(repository / "denoiser_bf16" / "1")
    mask = np.zeros((*SIZE, 3), np.uint8)
    mask[:40, :50] = 255
    (photo,) = photos_of(1)
    asked = {"region": images.encode(mask), "steps": 8}
    if not family_of(lane.family, lane.settings).supports_region_cache:
        with pytest.raises(RequestError, match="REGION_CACHE is not known to this checkpoint"):
            ours(client, [photo], region_cache=2, **asked)
        return
    whole, cached = (
        images.decode(ours(client, [photo], region_cache=interval, **asked)[-1].image)
        for interval in (0, 2)
    )
    outside = mask[..., 0] == 0
    np.testing.assert_array_equal(cached[outside], photo[outside])
    assert (cached != whole)[~outside].any() and (cached != photo)[~outside].any(-1).mean() > 0.5


@pytest.fixture
def heads(family):
    """The heads of the only family with a parser."""
    if not isinstance(family, InstructX):
        pytest.skip("it has no parser")
    return RetouchPipeline.from_pretrained(family.checkpoint)


def test_only_a_parser_says_whether_it_has_understood(family, client):
    *_, last = ours(client, photos_of(1), on_unknown="refuse")
    has_parser = isinstance(family, InstructX)
    assert last.info.understood is (True if has_parser else None) and last.info.hint is None
    assert (last.info.confidence is None) != has_parser and last.info.reason is None


@pytest.mark.parametrize(
    "sentence, reason, message",
    [
        ("sing me a song", "unknown_instruction", "not understood; the edits are recolour"),
        ("make the purple star red", "target_not_found", "not in the picture: purple star"),
    ],
)
def test_what_is_not_understood(heads, running, client, sentence, reason, message):
    """By gRPC and HTTP it is refused before any preview. A warning is in INFO beside the edit."""
    photos = photos_of(1)
    before = settled(running)
    counter = re.escape(f'retouch_not_understood_total{{reason="{reason}"}}')
    counted_before = counted(page_of(running), counter)
    refuse = {"instruction": sentence, "on_unknown": "refuse", "previews": 2}
    for url, http in ((client.url, False), (f"{HOST}:{running.http}", True)):
        for model in ("edit", "edit_sync"):
            with pytest.raises(RequestError, match=message) as refused:
                ours(Retouch(url), photos, model, http, **refuse)
            failure = refused.value
            assert (failure.code, failure.field) == ("INSTRUCTION_NOT_UNDERSTOOD", "INSTRUCTION")
            assert len(failure.examples) == 3
            assert set(failure.examples) < {example["sentence"] for example in EXAMPLES}
    after = settled(running)
    assert counted(page_of(running), counter) - counted_before == 4
    admitted = "retouch_denoiser_answered_total"
    assert after[admitted] == before[admitted]
    for model in ("edit", "edit_ensemble"):
        *_, last = ours(client, photos, model, instruction=sentence)
        info = last.info
        assert (info.understood, info.reason, info.steps) == (False, reason, STEPS)
        assert message in info.hint.message and tuple(info.hint.examples) == failure.examples
    *_, last = ours(client, photos, instruction=sentence, on_unknown="try")
    assert last.info.understood is False and last.info.hint is None
    assert last.info.confidence == pytest.approx(
        heads.parse(photos[0], sentence).assessment.confidence, abs=1e-3
    )


def test_what_asks_for_nothing_gets_the_source(heads, running, client):
    """Bit for bit, and no denoiser is asked but by the ensemble."""
    (photo,) = photos_of(1)
    sentence = "leave it as it is"
    before = settled(running)["retouch_denoiser_answered_total"]
    for model in ("edit", "edit_sync", "edit_ensemble"):
        *_, last = ours(client, [photo], model, instruction=sentence)
        np.testing.assert_array_equal(images.decode(last.image), photo)
        assert [operation.op for operation in last.info.operations] == ["nothing"]
        assert last.info.understood and last.final
    assert settled(running)["retouch_denoiser_answered_total"] == before + 1
    theirs = heads(Image.fromarray(photo), sentence, region="full")
    np.testing.assert_array_equal(np.asarray(theirs.image), photo)


def test_the_plain_loop_says_the_same(heads, repository):
    loop = PlainLoop(repository)
    file = images.encode(photos_of(1)[0])
    with pytest.raises(RequestError, match="not understood") as refused:
        loop.answer(EditRequest(file, "sing me a song", on_unknown="refuse"))
    assert refused.value.examples
    answer = loop.answer(EditRequest(file, "leave it as it is"))
    assert answer.info.asks_for_nothing
    np.testing.assert_array_equal(images.decode(answer.image), photos_of(1)[0])
