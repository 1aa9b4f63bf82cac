"""Triton responses of arrays and of errors."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from retouch.api.errors import Cancelled, Code, RequestError
from retouch.families.denoise_request import Arrays
from retouch.util.request_log import request_id

log = logging.getLogger(__name__)

FAILED = "the edit failed inside the server; its log says why"


def response_of(outputs: Arrays) -> Any:
    """A response with these outputs."""
    return pb_utils.InferenceResponse(
        [pb_utils.Tensor(name, np.asarray(value)) for name, value in outputs.items()]
    )


def guarded(function: Callable[[Any], Arrays], request: Any) -> Any:
    """The response of `function(request)`, or of the error that it raises, which is logged with
    the request's id."""
    with request_id(request.request_id()):
        try:
            return response_of(function(request))
        except Exception as failure:
            return failed(failure)


def failed(failure: Exception) -> Any:
    """An error response. A RequestError reaches the client as it is, everything else only the
    log."""
    if isinstance(failure, Cancelled):
        error = RequestError("the client has left", "CANCELLED")
    elif isinstance(failure, RequestError):
        error = failure
    else:
        log.error("an edit failed", exc_info=failure)
        error = RequestError(FAILED, "INTERNAL")
    return pb_utils.InferenceResponse(
        error=pb_utils.TritonError(error.to_text(), _triton_code(error.code))
    )


def _triton_code(code: Code) -> Any:
    """The nearest of Triton's codes, which has none for a deadline."""
    codes = {
        "INVALID_ARGUMENT": pb_utils.TritonError.INVALID_ARG,
        "INSTRUCTION_NOT_UNDERSTOOD": pb_utils.TritonError.INVALID_ARG,
        "DEADLINE_EXCEEDED": pb_utils.TritonError.UNAVAILABLE,
        "UNAVAILABLE": pb_utils.TritonError.UNAVAILABLE,
        "CANCELLED": pb_utils.TritonError.CANCELLED,
        "INTERNAL": pb_utils.TritonError.INTERNAL,
    }
    return codes[code]
