"""Stages as Triton models: the rows of a request, one by one."""

from __future__ import annotations

import faulthandler
from collections.abc import Callable
from typing import Any

import numpy as np

from retouch.api.errors import RequestError
from retouch.families.denoise_request import Arrays
from retouch.serving.triton.logging import log_to_triton
from retouch.serving.triton.responses import guarded

faulthandler.enable()  # a crash of native code logs the Python stacks
log_to_triton()


def inputs_of(request: Any) -> Arrays:
    """The inputs of a Triton request, with a leading batch dimension."""
    return {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}


def first_row(request: Any) -> Arrays:
    """The inputs of a request of one row, without the batch dimension."""
    return {name: tensor[0] for name, tensor in inputs_of(request).items()}


def per_row(requests: list, function: Callable[[Arrays], Arrays]) -> list:
    """Triton responses of `function`, which gets the inputs of one row and returns its outputs.

    Triton gathers the batch, but the rows run one by one. On a CPU a larger batch saves no time and
    changes the last bits, and an edit must not depend on others in its batch."""

    def answer(request: Any) -> Arrays:
        inputs = inputs_of(request)
        size = len(next(iter(inputs.values())))
        rows = [function({name: value[i] for name, value in inputs.items()}) for i in range(size)]
        if any(a.shape != b.shape for row in rows for a, b in zip(row.values(), rows[0].values())):
            raise RequestError(
                "the rows of one request must lead to one resolution; send them one by one"
            )
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    return [guarded(answer, request) for request in requests]
