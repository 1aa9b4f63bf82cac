"""A door's tensors and what they mean: a request from its inputs, and the outputs of an answer."""

from __future__ import annotations

from typing import Any

import numpy as np

from retouch import types
from retouch.answer import EditAnswer
from retouch.types import RequestError, request_from_values


def request_of(row: dict[str, Any]) -> types.EditRequest:
    """EditRequest of one row of a door's inputs; RequestError."""
    for tensor in types.INPUTS:
        if row[tensor.name].shape != tensor.dims:
            raise RequestError(f"{tensor.name} must hold {tensor.dims[0]} value")
    return request_from_values({name: value[0] for name, value in row.items()})


def tensors_of(answer: EditAnswer) -> dict[str, np.ndarray]:
    """A door's outputs."""
    return {
        "IMAGE": np.array([[answer.image]], object),
        "STEP": np.array([answer.step], np.int32),
        "INFO": np.array([[answer.info.to_json().encode()]], object),
    }
