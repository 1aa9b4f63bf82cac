"""Paths and refusals of the HTTP API that both kinds of client use."""

from __future__ import annotations

from retouch.api.errors import RequestError
from retouch.api.triton_errors import HTTP_STATUSES, read_error
from retouch.client.codec import error_text

STATISTICS = "/v2/models/stats"  # open to all; the repository index needs the server's secret


def edit_path(model: str) -> str:
    return f"/v2/models/{model}/generate_stream"


def ready_path(model: str) -> str:
    return f"/v2/models/{model}/ready"


def refusal(status: int, body: bytes) -> RequestError:
    """The error of a response with a `status` other than 200."""
    return read_error(error_text(body), HTTP_STATUSES.get(status, ""))
