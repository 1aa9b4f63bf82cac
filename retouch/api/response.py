"""What an edit answers: an image, how far it is, and what is known of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field


@dataclass
class Operation:
    """One thing the parser understood. `box` is (x0, y0, x1, y1) of the target, each 0 to 1."""

    op: str
    target: str = ""
    value: str = ""
    box: tuple[float, float, float, float] | None = None


@dataclass
class Region:
    """The edited area: its box (x0, y0, x1, y1, each 0 to 1) and its share of the image."""

    box: tuple[float, float, float, float]
    share: float


@dataclass
class EditInfo:
    """The JSON beside every image. `kind` is `preview` or `final`, `lane_reason` a sentence on why
    this lane served it, `milliseconds` by stage plus `total`; `steps_reused` are those of `steps`
    that STEP_CACHE spared the network; `notes` say what of the image the answer has not, a sentence
    each."""

    kind: str
    seed: int
    lane: str
    lane_reason: str = ""
    steps: int = 0
    steps_reused: int = 0
    guidance: float = 0.0
    operations: list[Operation] = field(default_factory=list)
    region: Region | None = None
    milliseconds: dict[str, float] = field(default_factory=dict)
    cache: dict[str, bool] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> EditInfo:
        data = json.loads(text)
        data["operations"] = [Operation(**entry) for entry in data.get("operations", [])]
        data["region"] = Region(**data["region"]) if data.get("region") else None
        return cls(**data)


@dataclass
class EditAnswer:
    """One answer of a door: an encoded image, (steps done, steps in all), and its EditInfo."""

    image: bytes
    step: tuple[int, int]
    info: EditInfo

    @property
    def final(self) -> bool:
        return self.info.kind == "final"
