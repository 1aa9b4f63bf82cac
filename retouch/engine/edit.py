"""The work of an engine: edits, and prefills ahead of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from retouch.api.adapters import Adapters
from retouch.engine.edit_state import EditState, Progress
from retouch.engine.scheduler import BatchKey
from retouch.families.denoise_request import DenoiseRequest

OnEnd = Callable[[Exception | None], None]  # gets the failure, None after a success


@dataclass(eq=False)  # an edit equals itself alone
class Edit:
    """One admitted edit. Times are seconds of `time.monotonic`.

    `on_progress` gets the progress of every step. `on_end` gets the failure, None after a success
    or a cancellation. Both run in the worker that holds the edit; what they raise ends this edit
    alone."""

    request_id: str
    request: DenoiseRequest
    on_progress: Callable[[Progress], None]
    on_end: OnEnd
    is_disconnected: Callable[[], bool] = lambda: False
    deadline: float = math.inf
    priority: int = 0
    admitted: float = field(default_factory=time.monotonic)
    cancelled: bool = False
    stepping: bool = False  # a worker holds it
    previewed: bool = False
    state: EditState = field(init=False)  # set at its admission

    @property
    def steps(self) -> int:
        return self.state.steps

    @property
    def batch_key(self) -> BatchKey:
        return self.state.batch_key

    @property
    def kept_bytes(self) -> int:
        return self.state.most_kept_bytes


@dataclass
class Prefill:
    """Latents [C, h, w] of a source image whose keys and values are to be cached, for edits with
    these adapters."""

    latents: np.ndarray
    on_end: OnEnd
    adapters: Adapters = ()
