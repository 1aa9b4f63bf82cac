"""What a denoiser is told survives its way, and nonsense is refused in a sentence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from retouch.api.errors import RequestError
from retouch.api.request import EditRequest
from retouch.serving.denoise_params import PREFILL, DenoiseParams
from retouch.serving.edit_pipeline import flat

LATENTS = [
    np.arange(16, dtype=np.float32).reshape(1, 4, 4),
    np.arange(24, dtype=np.float32).reshape(2, 2, 6),
]


def test_there_and_back():
    request = EditRequest(
        b"x", "y", seed=2**63 - 1, steps=7, guidance=1.5, previews=3, priority=1, step_cache=0.25
    )
    order = replace(DenoiseParams.of(request, 900, 4.0, LATENTS), ticket="ticket")
    assert (
        DenoiseParams.from_json(order.to_json())
        == order
        == DenoiseParams.from_json(order.to_json().encode())
    )
    assert (order.seed, order.deadline_ms, order.ticket) == (2**63 - 1, 900, "ticket")
    assert DenoiseParams.from_json('{"act": "prefill"}') == DenoiseParams(PREFILL)


def test_references_of_several_sizes_travel_as_one_array():
    order = DenoiseParams.from_json(
        DenoiseParams.of(EditRequest(b"x", "y"), more=LATENTS).to_json()
    )
    for ours, theirs in zip(order.unpacked(flat(LATENTS)[0]), LATENTS, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert DenoiseParams().unpacked(flat([])[0]) == ()
    with pytest.raises(
        RequestError, match="REFERENCE_LATENTS holds 3 numbers; the shapes in PARAMS say 40"
    ):
        order.unpacked(np.zeros(3, np.float32))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '{"act": "dance"}', '{"tikcet": "a"}', b"\xff"]
)
def test_nonsense_is_refused(text):
    with pytest.raises(
        RequestError, match="PARAMS must be a JSON object with some of act, ticket, seed"
    ):
        DenoiseParams.from_json(text)
