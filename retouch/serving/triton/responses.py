"""Tensors of requests, and responses of arrays or errors."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from retouch.api.errors import Cancelled, RequestError
from retouch.families.denoise_request import Arrays

FAILED = "the edit failed inside the server; its log says why"


def inputs_of(request: Any) -> Arrays:
    return {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}


def first_row(request: Any) -> dict[str, Any]:
    return {name: value[0] for name, value in inputs_of(request).items()}


def response_of(outputs: Arrays) -> Any:
    return pb_utils.InferenceResponse(
        [pb_utils.Tensor(name, np.asarray(value)) for name, value in outputs.items()]
    )


def guarded(function: Callable[[Any], Arrays], request: Any) -> Any:
    try:
        return response_of(function(request))
    except Exception as failure:
        return failed(failure)


def failed(failure: Exception) -> Any:
    """An error answer: our own words for what the sender can mend; the log gets the rest."""
    codes = {
        "INVALID_ARGUMENT": pb_utils.TritonError.INVALID_ARG,
        "DEADLINE_EXCEEDED": pb_utils.TritonError.UNAVAILABLE,
        "UNAVAILABLE": pb_utils.TritonError.UNAVAILABLE,
    }
    if isinstance(failure, Cancelled):
        error = pb_utils.TritonError("the client has left", pb_utils.TritonError.CANCELLED)
    elif isinstance(failure, RequestError):
        error = pb_utils.TritonError(
            str(failure), codes.get(failure.code, pb_utils.TritonError.INTERNAL)
        )
    else:
        pb_utils.Logger.log_error("".join(traceback.format_exception(failure)))
        error = pb_utils.TritonError(FAILED, pb_utils.TritonError.INTERNAL)
    return pb_utils.InferenceResponse(error=error)
