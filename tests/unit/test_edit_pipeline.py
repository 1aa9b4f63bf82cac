"""The pipeline over stand-in stages: order, previews, deadline, cancellation."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import threading
import time

import numpy as np
import pytest
from PIL import Image

from pictures import file_of, scene
from retouch.api.errors import Cancelled, RequestError
from retouch.api.request import EditRequest
from retouch.api.response import EditInfo, Hint, Operation
from retouch.families.registry import family_of
from retouch.imaging import images
from retouch.routing.load_board import LoadReport
from retouch.serving.denoise_params import EDIT, PREFILL, DenoiseParams
from retouch.serving.edit_pipeline import EditPipeline, string_tensor

PHOTO = file_of(scene())


class Stages:
    """Stand-ins that record their calls; the denoiser stops when its request is cancelled."""

    def __init__(self, steps=4, refuse="", slow=0.0, understanding=None):
        self.steps = steps
        self.understanding = understanding or {}  # fields of INFO that the parser writes
        self.refuse = refuse
        self.slow = slow
        self.calls = []
        self.inputs = {}  # names of the last inputs, by stage
        self.stopped = None
        self.seen = None
        self.together = threading.Barrier(2, timeout=5)

    def call(self, model, inputs):
        self.calls.append(model)
        self.inputs[model] = set(inputs)
        if model in ("vl_parser", "vae_encoder"):
            self.together.wait()  # breaks unless both run at the same time
        if model == self.refuse:
            raise RequestError("no")
        return {
            "vl_parser": {
                **dict.fromkeys(
                    (
                        "QUERIES",
                        "PROMPT_EMBEDS_POOLED",
                        "NEGATIVE_EMBEDS",
                        "NEGATIVE_EMBEDS_POOLED",
                        "BOXES",
                    ),
                    np.zeros((1, 0)),
                ),
                "CELLS": np.ones((1, 64), bool),
                "INFO": self.parsed_info(inputs.get("INFO")),
            },
            "vae_encoder": {"LATENTS": np.zeros((1, 1, 1, 1))},
            "connector": {"PROMPT_EMBEDS": np.zeros((1, 1, 1)), "INFO": inputs.get("INFO")},
            "vae_decoder": {"PIXELS": np.zeros((1, 128, 128, 3), np.uint8)},
        }[model]

    def parsed_info(self, tensor):
        if tensor is None:
            return None
        info = dataclasses.replace(EditInfo.from_json(tensor[0, 0]), **self.understanding)
        return string_tensor(info.to_json())

    def send_cancel(self, lane, request_id):
        assert f"denoiser_{lane}" in self.calls
        self.stopped = request_id

    def stream(self, model, inputs):
        self.calls.append(model)
        params = DenoiseParams.from_json(inputs["PARAMS"][0, 0])
        self.inputs[params.action] = set(inputs)
        if params.action == PREFILL:
            self.seen = params.request_id
            return
        self.params = params
        for step in range(1, self.steps + 1):
            if self.stopped == params.request_id:
                return
            time.sleep(self.slow)
            if step in (2, self.steps):
                preview = np.zeros((1, 8, 8, 3), np.uint8)
                cells = {"CELLS": np.arange(64)[None] < 16} if params.find_region else {}
                yield cells | {
                    "STEP": np.array([[step, self.steps]]),
                    "PREVIEW": preview,
                    "LATENTS": 0,
                    "INFO": inputs["INFO"],
                }


def pipeline_of(stages, **loads):
    family = family_of("instructx", {"patch": 8, "shift": 3.0})
    return EditPipeline(
        stages.call,
        stages.stream,
        lambda: tuple(loads) or ("bf16",),
        lambda lane: family,
        load=loads.get,
        send_cancel=stages.send_cancel,
    )


def edit(stages, cancelled=lambda: False, **options):
    return pipeline_of(stages).edit(
        EditRequest(**{"image": PHOTO, "instruction": "make it blue"} | options), cancelled
    )


def test_preview_then_result():
    stages = Stages()
    answers = list(edit(stages))
    assert [answer.step for answer in answers] == [(2, 4), (4, 4)]
    assert answers[-1].final and not answers[0].final
    assert stages.seen and stages.stopped is None and stages.calls.count("vae_decoder") == 1
    stages = {
        "preprocess",
        "vl_parser",
        "vae_encoder",
        "reference",
        "connector",
        "denoiser",
        "vae_decoder",
        "postprocess",
        "total",
    }
    assert set(answers[-1].info.milliseconds) == stages


def test_stages_get_only_what_they_read():
    """This family's parser sees pixels in place of files; a prefill takes the latents alone."""
    stages = Stages()
    list(edit(stages))
    assert stages.inputs == {
        "vl_parser": {"PIXELS", "MASK", "INSTRUCTION", "INFO"},
        "vae_encoder": {"PIXELS"},
        "connector": {"QUERIES", "INFO"},
        PREFILL: {"LATENTS", "PARAMS"},
        EDIT: {"LATENTS", "PROMPT_EMBEDS", "CELLS", "INFO", "PARAMS"},
        "vae_decoder": {"LATENTS"},
    }


@pytest.mark.parametrize("region, share", ((b"full", 1.0), (b" Find", 0.25)))
def test_the_region_is_the_one_that_the_denoiser_finds(region, share):
    *_, last = edit(Stages(), region=region)
    assert last.info.region.share == share
    pixels = images.decode(last.image)
    np.testing.assert_array_equal(pixels[round(128 * share) :], scene()[round(128 * share) :])
    assert (pixels != scene())[: round(128 * share)].any()


def test_a_text_encoder_that_sees_images_gets_their_files(monkeypatch):
    stages = Stages()
    pipeline = pipeline_of(stages)
    monkeypatch.setattr(type(pipeline._family("bf16")), "text_sees_images", True)
    list(pipeline.edit(EditRequest(PHOTO, "make it blue")))
    assert "IMAGE_FILES" in stages.inputs["vl_parser"]


def test_a_family_without_cached_references_is_not_prefilled(monkeypatch):
    stages = Stages()
    pipeline = pipeline_of(stages)
    monkeypatch.setattr(type(pipeline._family("bf16")), "caches_reference", False)
    *_, answer = pipeline.edit(EditRequest(PHOTO, "make it blue"))
    assert PREFILL not in stages.inputs and "reference" not in answer.info.milliseconds


def test_the_denoiser_gets_what_was_asked():
    stages = Stages()
    list(
        edit(
            stages,
            seed=7,
            steps=4,
            guidance=2.5,
            previews=1,
            step_cache=0.5,
            priority=1,
            deadline_ms=60_000,
        )
    )
    params = stages.params
    assert (params.seed, params.steps, params.guidance, params.previews) == (7, 4, 2.5, 1)
    assert (params.step_cache, params.priority) == (
        0.5,
        1,
    ) and 59_000 < params.deadline_ms <= 60_000


@pytest.mark.parametrize("model", ["vae_encoder", "vl_parser", "connector", "vae_decoder"])
def test_a_refusing_stage_ends_the_edit(model):
    stages = Stages(refuse=model)
    with pytest.raises(RequestError, match="no"):
        list(edit(stages))
    assert stages.stopped is None, "there is nothing to take out"


def test_a_broken_image_is_refused_before_any_work():
    stages = Stages()
    with pytest.raises(RequestError, match="IMAGE is not a picture file"):
        list(edit(stages, image=b"no picture"))
    assert stages.calls == []


def test_a_family_without_a_region_cache_refuses_it():
    stages = Stages()
    with pytest.raises(RequestError, match="REGION_CACHE is not known to this checkpoint"):
        list(edit(stages, region_cache=2))
    assert stages.calls == []


def test_an_unloaded_lane_is_refused_before_any_work():
    stages = Stages()
    with pytest.raises(RequestError, match="loaded are bf16"):
        list(edit(stages, precision="fp4"))
    assert stages.calls == []


def test_a_client_that_leaves_frees_the_denoiser():
    stages = Stages(steps=1000, slow=0.001)
    left = iter([False] * 8)
    with pytest.raises(Cancelled):
        list(edit(stages, lambda: next(left, True)))
    assert stages.stopped is not None and "vae_decoder" not in stages.calls


def test_an_iterator_left_early_frees_the_denoiser():
    stages = Stages(steps=1000, slow=0.001)
    answers = edit(stages)
    next(answers)
    answers.close()
    assert stages.stopped is not None


def test_a_deadline_that_passes_after_the_result_is_no_error():
    answers = edit(Stages(), deadline_ms=300)
    assert not next(answers).final and next(answers).final
    time.sleep(0.4)
    assert next(answers, None) is None


def test_the_deadline_ends_an_edit_between_steps():
    stages = Stages(steps=10_000, slow=0.002)
    with pytest.raises(RequestError, match="DEADLINE_MS 100 has passed") as refused:
        list(edit(stages, deadline_ms=100))
    assert refused.value.code == "DEADLINE_EXCEEDED" and stages.stopped is not None


BUSY = LoadReport(3, 300, 4, 0.1)
IDLE = LoadReport(0, 0, 4, 0.001)


@pytest.mark.parametrize(
    ("precision", "lane", "reason"),
    [
        (
            "auto",
            "fp8",
            "auto: bf16 has 3 edits before it (about 1200 ms); fp8 finishes in about 4 ms",
        ),
        ("bf16", "bf16", "asked for by name"),
        ("best", "bf16", "best: the widest lane loaded"),
    ],
)
def test_every_answer_says_which_lane_and_why(precision, lane, reason):
    stages = Stages()
    answers = list(
        pipeline_of(stages, bf16=BUSY, fp8=IDLE).edit(
            EditRequest(PHOTO, "make it blue", precision=precision)
        )
    )
    assert {(answer.info.lane, answer.info.lane_reason) for answer in answers} == {
        (lane, reason)
    } and len(answers) == 2
    assert {model for model in stages.calls if model.startswith("denoiser")} == {f"denoiser_{lane}"}


def test_the_time_of_the_other_stages_counts_towards_the_deadline():
    """Nothing is known of it before the first edit, and then that it is more than a thousandth of a
    millisecond."""
    pipeline = pipeline_of(Stages(), bf16=LoadReport(0, 0, 4, 2.5 - 1e-7), fp8=IDLE)
    request = EditRequest(PHOTO, "make it blue", deadline_ms=10_000)
    assert [list(pipeline.edit(request))[-1].info.lane for _ in range(2)] == ["bf16", "fp8"]


# -- what is not understood, and what asks for nothing ---------------------------------------------

UNKNOWN = {
    "understood": False,
    "confidence": 0.2,
    "reason": "unknown_instruction",
    "hint": Hint("INSTRUCTION is odd", ["make it warmer", "blur it"]),
}
NOTHING = {"understood": True, "confidence": 0.9, "operations": [Operation("nothing")]}


def test_an_instruction_that_is_refused_reaches_no_denoiser():
    stages = Stages(understanding=UNKNOWN)
    with pytest.raises(RequestError, match="INSTRUCTION is odd") as refused:
        list(edit(stages, on_unknown="refuse", previews=1))
    failure = refused.value
    assert (failure.code, failure.field) == ("INSTRUCTION_NOT_UNDERSTOOD", "INSTRUCTION")
    assert failure.examples == ("make it warmer", "blur it")
    assert not {"connector", "vae_decoder"} & set(stages.calls) and EDIT not in stages.inputs


@pytest.mark.parametrize("policy, hint", [("warn", UNKNOWN["hint"]), ("try", None)])
def test_an_instruction_that_is_edited_by_all_the_same(policy, hint):
    answers = list(edit(Stages(understanding=UNKNOWN), on_unknown=policy))
    assert [answer.step for answer in answers] == [(2, 4), (4, 4)]
    for answer in answers:
        assert (answer.info.understood, answer.info.confidence) == (False, 0.2)
        assert (answer.info.reason, answer.info.hint) == ("unknown_instruction", hint)


@pytest.mark.parametrize("policy", ["refuse", "warn", "try"])
def test_a_family_without_a_parser_refuses_nothing(policy):
    *_, answer = edit(Stages(), on_unknown=policy)
    assert answer.final and answer.info.understood is answer.info.confidence is None


def mask_file():
    mask = np.zeros((128, 128, 3), np.uint8)
    mask[20:90, 20:90] = 255
    return file_of(mask)


@pytest.mark.parametrize("region", [b"auto", b"full", b"find", mask_file()])
def test_what_asks_for_nothing_gets_the_source_without_denoising(region):
    stages = Stages(understanding=NOTHING)
    (answer,) = edit(stages, region=region, previews=2)
    assert answer.final and answer.step == (0, 0) and answer.info.region.share == 0
    assert answer.info.operations == [Operation("nothing")] and answer.info.drift is None
    np.testing.assert_array_equal(images.decode(answer.image), scene())
    assert EDIT not in stages.inputs and "connector" not in stages.calls
    assert answer.info.milliseconds["total"] >= answer.info.milliseconds["vl_parser"]


def test_a_parser_that_is_done_first_spares_the_prefill():
    """The encoder waits for the parser here, so the prefill would come after it."""
    for understanding in (NOTHING, UNKNOWN):
        stages = Stages(understanding=understanding)
        pipeline = pipeline_of(stages)
        encode = pipeline._encode_image

        def late(context, pixels, stages=stages, encode=encode):
            latents = encode(context, pixels)
            time.sleep(0.2)
            return latents

        pipeline._encode_image = late
        request = EditRequest(PHOTO, "make it blue", on_unknown="refuse")
        with contextlib.suppress(RequestError):
            list(pipeline.edit(request))
        assert PREFILL not in stages.inputs and stages.seen is None


def test_transparency_stays_where_nothing_is_asked_for():
    pixels = np.dstack([scene(), np.full((128, 128), 90, np.uint8)])
    (answer,) = edit(Stages(understanding=NOTHING), image=file_of(pixels))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(answer.image))), pixels)
