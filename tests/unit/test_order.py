"""What a denoiser is told survives its way, and nonsense is refused in a sentence."""

from __future__ import annotations

import pytest

from retouch.order import LOOK, Order
from retouch.types import EditRequest, RequestError


def test_there_and_back():
    request = EditRequest(b"x", "y", seed=2**63 - 1, steps=7, guidance=1.5, previews=3, priority=1, step_cache=0.25)
    order = Order.of(request, "ticket", 900)
    assert Order.from_json(order.to_json()) == order == Order.from_json(order.to_json().encode())
    assert (order.seed, order.deadline_ms, order.ticket) == (2**63 - 1, 900, "ticket")
    assert Order.from_json('{"act": "look"}') == Order(LOOK)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"act": "dance"}', '{"tikcet": "a"}', b"\xff"])
def test_nonsense_is_refused(text):
    with pytest.raises(RequestError, match="ORDER must be a JSON object with some of act, ticket, seed"):
        Order.from_json(text)
