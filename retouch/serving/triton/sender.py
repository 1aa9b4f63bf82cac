"""The answers of a denoiser to one decoupled request."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from retouch.api.response import EditInfo
from retouch.engine.edit_state import Progress
from retouch.families.denoise_request import Arrays
from retouch.serving.denoise_params import DenoiseParams
from retouch.serving.triton.responses import failed, response_of
from retouch.serving.triton.stages import first_row
from retouch.util.request_log import request_id

RETURNED = ("SOURCE", "CELLS")  # inputs that an ensemble's last stage needs again


class Sender:
    """Sends the answers of one request, from threads that outlive `execute`."""

    def __init__(self, request: Any):
        self._request_id = request.request_id()
        self._sender = request.get_response_sender()
        self._outputs = set(request.requested_output_names())
        self.tensors: Arrays = first_row(request)
        self.params = DenoiseParams()
        self.is_disconnected: Callable[[], bool] = self._sender.is_cancelled
        self._steps_reused = 0

    def dispatch(self, actions: dict[str, Callable[[Sender], None]]) -> None:
        """Run the action that PARAMS names. What it raises ends the answers."""
        try:
            self.params = DenoiseParams.from_json(self.tensors["PARAMS"][0])
            actions[self.params.action](self)
        except Exception as failure:
            self.end(failure)

    def deadline(self) -> float:
        """The deadline on the clock of `time.monotonic`; infinite without one."""
        milliseconds = self.params.deadline_ms
        return time.monotonic() + milliseconds / 1000 if milliseconds else math.inf

    def send_progress(self, progress: Progress) -> None:
        """Send an answer for a step that has a preview or the result."""
        self._steps_reused += progress.reused
        outputs = progress.tensors()
        if outputs is not None:
            returned = {name: self.tensors[name] for name in RETURNED if name in self.tensors}
            self._send(returned | outputs | self._info())

    def send_info(self, info: EditInfo) -> None:
        """Send an answer that is INFO alone."""
        self._send(_info_tensor(info))

    def end(self, failure: Exception | None = None) -> None:
        """End the answers, with an error if there is one."""
        with request_id(self._request_id or self.params.request_id):
            errors = [] if failure is None else [failed(failure)]
        self._sender.send(*errors, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def _info(self) -> Arrays:
        """INFO with the number of reused steps; nothing for a request without INFO."""
        if "INFO" not in self.tensors:
            return {}
        info = EditInfo.from_json(self.tensors["INFO"][0])
        info.steps_reused = self._steps_reused
        return _info_tensor(info)

    def _send(self, outputs: Arrays) -> None:
        """Send those outputs, without a batch dimension, that the request asks for."""
        batched = {name: value[None] for name, value in outputs.items() if name in self._outputs}
        self._sender.send(response_of(batched))


def _info_tensor(info: EditInfo) -> Arrays:
    return {"INFO": np.array([info.to_json().encode()], object)}
