"""An edit's answers: an encoded image, its step, and its INFO."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from retouch.api.field import Tensor

ENSEMBLE_IMAGE = "EDITED"  # an ensemble cannot have an input and an output of one name
OUTPUTS = (Tensor("IMAGE", "BYTES"), Tensor("STEP", "INT32", (2,)), Tensor("INFO", "BYTES"))


@dataclass
class Operation:
    """One operation that the parser found. `box` is (x0, y0, x1, y1) of the target, from 0 to
    1."""

    op: str
    target: str = ""
    value: str = ""
    box: tuple[float, float, float, float] | None = None


@dataclass
class Region:
    """The cells that are edited: their box (x0, y0, x1, y1, from 0 to 1) and share of the
    image."""

    box: tuple[float, float, float, float]
    share: float


@dataclass
class Drift:
    """How the model has changed what it should not, before the source image's pixels were put back.

    `shift` is (right, down) of the whole picture, in pixels of the source image; None where the
    pictures do not say. `change` is the mean absolute change outside of the region, in grey levels;
    None where the region is everything. `undone` is whether ALIGN has moved the edit back."""

    shift: tuple[float, float] | None
    change: float | None
    undone: bool = False


NOTHING = "nothing"  # the operation of an instruction that asks for no change

# why an instruction is not understood
Reason = Literal[
    "unknown_instruction",  # it is none that the checkpoint can follow
    "unsupported",  # it is read, but the checkpoint makes no such edits
    "target_not_found",  # what it is about is not in the picture
    "low_confidence",  # the parser is not sure enough of its operations
]
REASONS: tuple[Reason, ...] = get_args(Reason)


@dataclass
class Hint:
    """What to send instead of an instruction that is not understood: a sentence, and examples of
    instructions."""

    message: str
    examples: list[str] = field(default_factory=list)


@dataclass
class Detail:
    """How an answer that is larger than its edit was made: the shares of the region by a
    `transform` of the source image's pixels, and by a `composite` of the enlarged edit."""

    transform: float
    composite: float


@dataclass
class Scores:
    """How good the evaluator thinks a result is, from 0 to 1: as a whole, whether the rest stayed
    (`consistency`), whether the instruction was followed, and whether the picture is plausible.
    `evaluator` is its version."""

    score: float
    consistency: float
    instruction: float
    plausibility: float
    evaluator: str = ""


@dataclass
class EditInfo:
    """The JSON of every image. `kind` is `preview` or `final`. `lane_reason` says in a sentence why
    this lane was chosen. `milliseconds` are by stage, plus `total`. `steps_reused` of the `steps`
    were taken from STEP_CACHE. `notes` name in sentences what the answer lacks of the image.
    `parts` are the precisions of the graphs that read the instruction, by stage. `guidance` and
    `true_cfg` are those of the edit, 0 and 1 where the checkpoint takes none. `defaults` are the
    lane's, by the names of the request's fields. `drift` is that of a result, and `detail` that of
    one which keeps the source image's; None where the edit was only scaled. `adapters` are the
    edit's scales by name.

    `scores` are those of a result that SCORE asks for; None where none were made. `request_id` is
    the id of the request, by which feedback names the answer.

    `understood` is whether the parser has understood the instruction, and `confidence` its
    probability; both are None in families without a parser. `reason` and `hint` are of an
    instruction that is not understood."""

    kind: str
    seed: int
    lane: str
    lane_reason: str = ""
    steps: int = 0
    steps_reused: int = 0
    guidance: float = 0.0
    true_cfg: float = 1.0
    operations: list[Operation] = field(default_factory=list)
    region: Region | None = None
    drift: Drift | None = None
    detail: Detail | None = None
    milliseconds: dict[str, float] = field(default_factory=dict)
    cache: dict[str, bool] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    parts: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    adapters: dict[str, float] = field(default_factory=dict)
    understood: bool | None = None
    confidence: float | None = None
    reason: Reason | None = None
    hint: Hint | None = None
    scores: Scores | None = None
    request_id: str = ""

    @property
    def asks_for_nothing(self) -> bool:
        """Whether the instruction is understood and asks for no change."""
        return bool(self.understood) and [entry.op for entry in self.operations] == [NOTHING]

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> EditInfo:
        data = json.loads(text)
        data["operations"] = [Operation(**entry) for entry in data.get("operations", [])]
        data["region"] = Region(**data["region"]) if data.get("region") else None
        data["drift"] = Drift(**data["drift"]) if data.get("drift") else None
        data["hint"] = Hint(**data["hint"]) if data.get("hint") else None
        data["detail"] = Detail(**data["detail"]) if data.get("detail") else None
        data["scores"] = Scores(**data["scores"]) if data.get("scores") else None
        return cls(**data)


@dataclass
class EditAnswer:
    """One answer: an encoded image, (steps done, steps in all), and its EditInfo."""

    image: bytes
    step: tuple[int, int]
    info: EditInfo

    @property
    def final(self) -> bool:
        return self.info.kind == "final"
