"""Stages as Triton models: the rows of requests, one by one or as a batch."""

from __future__ import annotations

import faulthandler
import logging
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np

from retouch.api.errors import RequestError
from retouch.families.denoise_request import Arrays
from retouch.serving.triton.logging import log_to_triton
from retouch.serving.triton.responses import guarded

faulthandler.enable()  # a crash of native code logs the Python stacks
log_to_triton()
log = logging.getLogger(__name__)


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
        return _stacked([function(row) for row in _rows(request)])

    return [guarded(answer, request) for request in requests]


def in_batches(
    requests: list, function: Callable[[list[Arrays]], list[Arrays]], batches: bool
) -> list:
    """Triton responses of `function`, which gets the inputs of rows and returns their outputs.

    Where the stage `batches`, `function` gets the rows of all requests at once, else one by one.
    When it fails for all of them, every row runs alone: others' faults fail no request."""
    groups = [_rows(request) for request in requests] if batches else []
    if sum(map(len, groups)) > 1:
        try:
            outputs = iter(function([row for group in groups for row in group]))
        except Exception as failure:
            log.warning("a batch failed, and its rows run one by one: %s", failure)
        else:
            own = [list(islice(outputs, len(group))) for group in groups]
            return [
                guarded(lambda _, rows=rows: _stacked(rows), request)
                for request, rows in zip(requests, own)
            ]
    return per_row(requests, lambda row: function([row])[0])


def _rows(request: Any) -> list[Arrays]:
    """The inputs of every row, without the batch dimension."""
    inputs = inputs_of(request)
    size = len(next(iter(inputs.values())))
    return [{name: value[index] for name, value in inputs.items()} for index in range(size)]


def _stacked(rows: list[Arrays]) -> Arrays:
    """The outputs of rows as one array by name; RequestError when they differ in size."""
    if any(a.shape != b.shape for row in rows for a, b in zip(row.values(), rows[0].values())):
        raise RequestError(
            "the rows of one request must lead to one resolution; send them one by one"
        )
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}
