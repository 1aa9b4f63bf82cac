"""How models answer: stages once a request, endpoints with a stream or with the last answer."""

from __future__ import annotations

import faulthandler
from collections.abc import Callable
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from retouch.api.errors import RequestError
from retouch.api.tensors import request_of, tensors_of
from retouch.families.denoise_request import Arrays
from retouch.serving import drain
from retouch.serving.triton.logging import log_to_triton
from retouch.serving.triton.responses import failed, first_row, guarded, inputs_of, response_of
from retouch.serving.triton.stream_workaround import STREAMS
from retouch.util.request_log import request_id

faulthandler.enable()  # when native code ends a stub, the server's log has the Python stacks
log_to_triton()


def per_row(requests: list, function: Callable[[dict[str, Any]], Arrays]) -> list:
    """Answer every request of a batch by `function(one row's inputs)`, which gives that row's
    outputs.

    Triton gathers the batch, but the rows run one by one: on a CPU more rows to a multiplication
    save nothing and change the last bits, and an edit must not depend on its neighbours."""

    def answer(request: Any) -> Arrays:
        inputs = inputs_of(request)
        size = len(next(iter(inputs.values())))
        rows = [function({name: value[i] for name, value in inputs.items()}) for i in range(size)]
        if any(a.shape != b.shape for row in rows for a, b in zip(row.values(), rows[0].values())):
            raise RequestError(
                "the rows of one request must lead to one resolution; send them one by one"
            )
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    return [_logged(answer, request) for request in requests]


def stream_edits(requests: list, edit: Callable) -> None:
    """`edit(request, cancelled)` for every request, each answer sent as it comes."""
    for request in requests:
        with request_id(request.request_id()):
            _stream_edit(request, edit)


def _stream_edit(request: Any, edit: Callable) -> None:
    sender = request.get_response_sender()
    try:
        with drain.running_edit():
            for answer in edit(request_of(first_row(request)), STREAMS.asking(sender.is_cancelled)):
                sender.send(response_of(tensors_of(answer)))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
    except Exception as failure:
        sender.send(failed(failure), flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


def last_answers(requests: list, edit: Callable) -> list:
    """`edit(request, cancelled)` for every request, the final answer only."""

    def last(request: Any) -> Arrays:
        wanted = request_of(first_row(request))
        wanted.previews = 0  # nobody would see them
        with drain.running_edit():
            *_, answer = edit(wanted, STREAMS.asking(request.is_cancelled))
        return tensors_of(answer)

    return [_logged(last, request) for request in requests]


def _logged(function: Callable[[Any], Arrays], request: Any) -> Any:
    with request_id(request.request_id()):
        return guarded(function, request)
