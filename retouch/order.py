"""What a denoiser is told beside arrays: what to do, under which ticket, and the numbers of an edit."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields

from retouch.types import EditRequest, RequestError

# edit, or remember the source's latents ahead of the edit, or leave the edit with this ticket
EDIT, LOOK, TAKE_OUT = "edit", "look", "take out"


@dataclass(frozen=True)
class Order:
    """Fields are EditRequest's. `ticket` is the name by which the edit can be taken out, or empty; `deadline_ms` is what is
    left of it, 0 where there is none."""

    act: str = EDIT
    ticket: str = ""
    seed: int = 0
    steps: int = 0
    guidance: float = 0.0
    previews: int = 0
    step_cache: float = 0.0
    priority: int = 0
    deadline_ms: int = 0

    @classmethod
    def of(cls, request: EditRequest, ticket: str = "", deadline_ms: int = 0) -> Order:
        shared = ("seed", "steps", "guidance", "previews", "step_cache", "priority")
        return cls(EDIT, ticket, **{name: getattr(request, name) for name in shared}, deadline_ms=deadline_ms)

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Order:
        """RequestError when it is none."""
        try:
            order = cls(**json.loads(text))
            if order.act not in (EDIT, LOOK, TAKE_OUT):
                raise ValueError(order.act)
            return order
        except (ValueError, TypeError):
            raise RequestError(f"ORDER must be a JSON object with some of {', '.join(each.name for each in fields(cls))}") from None
