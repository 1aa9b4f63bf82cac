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
        b"x", "y", seed=2**63 - 1, steps=7, guidance=1.5, previews=3, priority=1, step_cache=0.25
    )
    params = replace(DenoiseParams.of(request, 900, 4.0, LATENTS), request_id="id")
    assert (
        DenoiseParams.from_json(params.to_json())
        == params
        == DenoiseParams.from_json(params.to_json().encode())
    )
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
