"""What a denoiser is told beside arrays: what to do, under which ticket, and the numbers of an
edit."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np

from retouch.api.errors import RequestError
from retouch.api.request import EditRequest

EDIT = "edit"
PREFILL = "prefill"  # prefill: remember the source's latents ahead of the edit


@dataclass(frozen=True)
class DenoiseParams:
    """Fields are EditRequest's. `ticket` is the name by which the edit can be taken out, or empty;
    `deadline_ms` is what is left of it, 0 where there is none. `more` are the shapes [C, h, w] of
    further references' latents."""

    act: str = EDIT
    ticket: str = ""
    seed: int = 0
    steps: int = 0
    guidance: float = 0.0
    previews: int = 0
    step_cache: float = 0.0
    priority: int = 0
    deadline_ms: int = 0
    true_cfg: float = 1.0
    more: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def of(
        cls,
        request: EditRequest,
        deadline_ms: int = 0,
        true_cfg: float = 1.0,
        more: Sequence[np.ndarray] = (),
    ) -> DenoiseParams:
        """Of a request, with `more` references' latents."""
        shared = ("seed", "steps", "guidance", "previews", "step_cache", "priority")
        return cls(
            **{name: getattr(request, name) for name in shared},
            deadline_ms=deadline_ms,
            true_cfg=true_cfg,
            more=tuple(latents.shape for latents in more),
        )

    def unpacked(self, flat: np.ndarray) -> tuple[np.ndarray, ...]:
        """The latents of further references, which travel as one array float32 [-1]; RequestError
        when it is not as long as their shapes say."""
        sizes = [math.prod(shape) for shape in self.more]
        if sum(sizes) != len(flat):
            raise RequestError(
                f"REFERENCE_LATENTS holds {len(flat)} numbers; the shapes in PARAMS say {sum(sizes)}",
                field="REFERENCE_LATENTS",
            )
        parts = np.split(flat, np.cumsum(sizes[:-1])) if sizes else []
        return tuple(part.reshape(shape) for part, shape in zip(parts, self.more))

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> DenoiseParams:
        """RequestError when it is none."""
        try:
            told = json.loads(text)
            order = cls(**told | {"more": tuple(map(tuple, told.get("more", ())))})
            if order.act not in (EDIT, PREFILL):
                raise ValueError(order.act)
            return order
        except (ValueError, TypeError, AttributeError):
            names = ", ".join(each.name for each in fields(cls))
            raise RequestError(
                f"PARAMS must be a JSON object with some of {names}", field="PARAMS"
            ) from None
