"""What a denoiser is told survives its way, and nonsense is refused in a sentence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from retouch.api.errors import RequestError
from retouch.api.request import EditRequest
from retouch.serving.denoise_params import PREFILL, DenoiseParams, flatten

LATENTS = [
    np.arange(16, dtype=np.float32).reshape(1, 4, 4),
    np.arange(24, dtype=np.float32).reshape(2, 2, 6),
]


def test_there_and_back():
    request = EditRequest(
        b"x",
        "y",
        seed=2**63 - 1,
        steps=7,
        guidance=1.5,
        previews=3,
        priority=1,
        step_cache=0.25,
        region=b"find",
        region_cache=3,
    )
    params = replace(DenoiseParams.of(request, 900, 4.0, LATENTS), request_id="id")
    assert (
        DenoiseParams.from_json(params.to_json())
        == params
        == DenoiseParams.from_json(params.to_json().encode())
    )
    assert (params.find_region, params.region_cache) == (True, 3)
    assert (params.seed, params.deadline_ms, params.request_id) == (2**63 - 1, 900, "id")
    assert DenoiseParams.from_json('{"action": "prefill"}') == DenoiseParams(PREFILL)


def test_references_of_several_sizes_travel_as_one_array():
    params = DenoiseParams.from_json(
        DenoiseParams.of(EditRequest(b"x", "y"), references=LATENTS).to_json()
    )
    for ours, theirs in zip(params.unflatten(flatten(LATENTS)), LATENTS, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert DenoiseParams().unflatten(flatten([])) == ()
    with pytest.raises(
        RequestError, match="REFERENCE_LATENTS holds 3 numbers; the shapes in PARAMS say 40"
    ):
        params.unflatten(np.zeros(3, np.float32))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '{"action": "dance"}', '{"reqeust_id": "a"}', b"\xff"]
)
def test_nonsense_is_refused(text):
    with pytest.raises(
        RequestError, match="PARAMS must be a JSON object with some of action, request_id, seed"
    ):
        DenoiseParams.from_json(text)


EDIT = {
    "LATENTS": LATENTS[0],
    "PROMPT_EMBEDS": np.ones((2, 3), np.float32),
    "CELLS": np.ones(4, bool),
}


def test_the_request_of_an_edit_with_the_required_tensors_alone():
    request = DenoiseParams(seed=3, steps=7).denoise_request(EDIT)
    assert (request.seed, request.steps, request.negative) == (3, 7, None)
    assert request.conditioning.keys() == {"prompt_embeds"} and request.extra_references == ()
    assert request.latents is EDIT["LATENTS"] and request.region is EDIT["CELLS"]


def test_an_empty_tensor_counts_as_absent():
    """The ensemble sends them, of families that have none."""
    blank = {
        "PROMPT_EMBEDS_POOLED": np.zeros(0, np.float32),
        "NEGATIVE_EMBEDS": np.zeros((0, 0), np.float32),
        "NEGATIVE_EMBEDS_POOLED": np.zeros(0, np.float32),
    }
    request = DenoiseParams().denoise_request(EDIT | blank)
    assert request.conditioning.keys() == {"prompt_embeds"} and request.negative is None


def test_the_request_of_an_edit_with_everything():
    tensors = EDIT | {
        "PROMPT_EMBEDS_POOLED": np.ones(5, np.float32),
        "NEGATIVE_EMBEDS": np.ones((4, 3), np.float32),
        "NEGATIVE_EMBEDS_POOLED": np.ones(5, np.float32),
        "BOXES": np.ones((1, 2, 4), np.float32),
        "REFERENCE_LATENTS": flatten(LATENTS),
    }
    params = DenoiseParams.of(EditRequest(b"x", "y"), true_cfg=4.0, references=LATENTS)
    request = params.denoise_request(tensors)
    assert request.conditioning.keys() == {"prompt_embeds", "pooled_prompt_embeds", "boxes"}
    assert request.negative.keys() == {"prompt_embeds", "pooled_prompt_embeds"}
    assert [latents.shape for latents in request.extra_references] == [(1, 4, 4), (2, 2, 6)]
    assert request.true_cfg == 4.0


@pytest.mark.parametrize("name", EDIT)
def test_a_required_tensor_that_is_missing_is_named(name):
    tensors = {other: tensor for other, tensor in EDIT.items() if other != name}
    with pytest.raises(RequestError, match=f"{name} is missing; an edit needs LATENTS") as refused:
        DenoiseParams().denoise_request(tensors)
    assert refused.value.field == name
