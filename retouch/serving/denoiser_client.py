"""The client side of a lane's denoiser, for one edit: prefill, denoise, cancel."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace

import numpy as np

from retouch.families.denoise_request import Arrays
from retouch.serving.denoise_params import PREFILL, DenoiseParams

# tensors of an edit; the denoiser takes an absent one as none
INPUTS = (
    "LATENTS",
    "PROMPT_EMBEDS",
    "PROMPT_EMBEDS_POOLED",
    "NEGATIVE_EMBEDS",
    "NEGATIVE_EMBEDS_POOLED",
    "REFERENCE_LATENTS",
    "BOXES",
    "CELLS",
    "INFO",
)


class DenoiserClient:
    """Calls of one edit to `lane`. Tensors have a leading batch dimension of 1.

    `stream(model, inputs)` yields a model's answers and cannot be left early. `send_cancel(lane,
    request_id)` cancels an edit."""

    def __init__(
        self,
        stream: Callable[[str, Arrays], Iterator[Arrays]],
        send_cancel: Callable[[str, str], None],
        lane: str,
    ):
        self._stream = stream
        self._send_cancel = send_cancel
        self._lane = lane
        self._request_id = secrets.token_hex(8)

    def prefill(self, latents: np.ndarray, adapter: str = "") -> None:
        """Let the denoiser cache the source image's keys and values for the request's ADAPTER,
        latents [1, C, h, w]."""
        params = DenoiseParams(PREFILL, self._request_id, adapter=adapter)
        for _ in self._call(params, {"LATENTS": latents}):
            pass

    def denoise(self, params: DenoiseParams, tensors: Arrays) -> Generator[Arrays, None, None]:
        """The answers: previews where they are due, then the result. Closing the iterator cancels
        the edit, unless it has ended."""
        inputs = {name: tensors[name] for name in INPUTS if name in tensors and tensors[name].size}
        answers = self._call(replace(params, request_id=self._request_id), inputs)
        for answer in answers:
            try:
                yield answer
            except GeneratorExit:
                if not is_last(answer):
                    self.cancel()
                for _ in answers:
                    pass
                raise

    def cancel(self) -> None:
        """Cancel the edit before its next step. An edit that is not running is no error."""
        self._send_cancel(self._lane, self._request_id)

    def _call(self, params: DenoiseParams, inputs: Arrays) -> Iterator[Arrays]:
        encoded = np.array([[params.to_json().encode()]], object)
        return self._stream(f"denoiser_{self._lane}", inputs | {"PARAMS": encoded})


def is_last(answer: Arrays) -> bool:
    """Whether an answer of a denoiser is the result."""
    done, steps = answer["STEP"][0].tolist()
    return done == steps
