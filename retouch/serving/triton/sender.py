"""The denoiser's answers to one decoupled request."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from retouch.api.response import EditInfo
from retouch.engine.edit_state import Progress
from retouch.families.denoise_request import Arrays, DenoiseRequest
from retouch.serving.denoise_params import DenoiseParams
from retouch.serving.triton.responses import failed, first_row, response_of
from retouch.util.request_log import request_id


class Sender:
    """Answers of one decoupled request, for a thread that outlives `execute`."""

    def __init__(self, request: Any):
        self._sender = request.get_response_sender()
        self._request_id = request.request_id()
        self._wanted = set(request.requested_output_names())
        self.inputs = first_row(request)
        self.order = DenoiseParams()
        self.left = self._sender.is_cancelled
        self._reused = 0

    def send(self, outputs: Arrays) -> None:
        """One answer of arrays without a batch dimension, of which only what was asked for is
        sent."""
        wanted = {name: value[None] for name, value in outputs.items() if name in self._wanted}
        self._sender.send(response_of(wanted))

    def progress(self, progress: Progress) -> None:
        """A denoiser's step, where there is something to say, with the inputs that an ensemble's
        last step needs again."""
        self._reused += progress.reused
        outputs = progress.tensors()
        if outputs is not None:
            info = EditInfo.from_json(self.inputs["INFO"][0])
            info.steps_reused = self._reused
            again = {name: self.inputs[name] for name in ("SOURCE", "CELLS")}
            self.send(outputs | again | {"INFO": np.array([info.to_json().encode()], object)})

    def begin(self, acts: dict[str, Callable[[Sender], None]]) -> None:
        """Do what its order says; end with what that raises."""
        try:
            self.order = DenoiseParams.from_json(self.inputs["PARAMS"][0])
            acts[self.order.act](self)
        except Exception as failure:
            self.end(failure)

    def deadline(self) -> float:
        """On the clock of `time.monotonic`; infinite where there is none."""
        left = self.order.deadline_ms
        return time.monotonic() + left / 1000 if left else math.inf

    def wanted(self) -> DenoiseRequest:
        """What a denoiser is asked for."""
        names = ("seed", "steps", "guidance", "previews", "step_cache", "true_cfg")
        told = self.inputs
        numbers = {name: getattr(self.order, name) for name in names}
        said = {
            "prompt_embeds": told["PROMPT_EMBEDS"],
            "pooled_prompt_embeds": told["PROMPT_EMBEDS_POOLED"],
            "boxes": told["BOXES"],
        }
        against = (
            {
                "prompt_embeds": told["NEGATIVE_EMBEDS"],
                "pooled_prompt_embeds": told["NEGATIVE_EMBEDS_POOLED"],
            }
            if told["NEGATIVE_EMBEDS"].size
            else None
        )
        return DenoiseRequest(
            told["LATENTS"],
            said,
            told["CELLS"],
            extra_references=self.order.unpacked(told["REFERENCE_LATENTS"]),
            negative=against,
            **numbers,
        )

    def end(self, failure: Exception | None = None) -> None:
        """The end of the stream, with an error where there is a failure."""
        final = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
        with request_id(self._request_id or self.order.ticket):
            errors = [] if failure is None else [failed(failure)]
        self._sender.send(*errors, flags=final)
