"""Calls from one model to another (Triton's BLS)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import triton_python_backend_utils as pb_utils

from retouch.api.errors import RequestError
from retouch.api.tensors import outputs_of
from retouch.api.triton_errors import from_retouch, read_error
from retouch.families.denoise_request import Arrays
from retouch.serving.triton.responses import FAILED
from retouch.serving.triton.stream_workaround import STREAMS
from retouch.util.request_log import REQUEST_ID

log = logging.getLogger(__name__)


def call(model: str, inputs: Arrays) -> Arrays:
    """The outputs of another model; RequestError when it fails."""
    return _outputs(_request(model, inputs).exec(), model)


def stream(model: str, inputs: Arrays) -> Iterator[Arrays]:
    """The answers of a decoupled model; RequestError when it fails. A caller that closes the
    iterator waits for the end of the stream."""
    for response in STREAMS.stream(lambda: iter(_request(model, inputs).exec(decoupled=True))):
        if response.has_error() or response.output_tensors():
            yield _outputs(response, model)


def _request(model: str, inputs: Arrays) -> Any:
    return pb_utils.InferenceRequest(
        model_name=model,
        request_id=REQUEST_ID.get(),
        requested_output_names=outputs_of(model),
        inputs=[pb_utils.Tensor(name, value) for name, value in inputs.items()],
    )


def _outputs(response: Any, model: str) -> Arrays:
    if response.has_error():
        raise _error(response.error(), model)
    return {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}


def _error(failure: Any, model: str) -> RequestError:
    """A stage's own error, or that its queue is full. Other errors of Triton are faults of the
    server, and are logged."""
    text = failure.message()
    is_unavailable = failure.code() == pb_utils.TritonError.UNAVAILABLE  # lost in streams
    error = from_retouch(text)
    if error is not None:
        return error
    error = read_error(text, "UNAVAILABLE" if is_unavailable else "INTERNAL")
    if error.code == "UNAVAILABLE":
        return error
    log.error("%s: %s", model, text)
    return RequestError(FAILED, "INTERNAL")
