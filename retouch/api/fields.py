"""The table of request fields: every input of an edit, for all that reads, sends or documents one.

The endpoints' tensors, the checks of a request, the options of the command line, the columns of a
batch's list, the extra parameters of the OpenAI API, every config.pbtxt with these inputs and the
table in README.md follow from it.

To add a field: add its row here and its attribute to `EditRequest` and `EditOptions` (request.py),
which name the fields again for editors and type checkers; run `make fields`, which writes the
configs and README.md; use the attribute in a stage. tests/contract/test_fields.py holds all this.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from retouch.api import limits
from retouch.api.adapters import AdapterScales
from retouch.api.answer_format import AnswerFormat
from retouch.api.checks import Check, File, Files, LaneOrPolicy, Range, Text, refuse


@dataclass(frozen=True)
class Tensor:
    """One tensor of an endpoint: name, Triton's data type, dims without the batch dimension."""

    name: str
    datatype: str  # BYTES, INT32, INT64 or FP32
    dims: tuple[int, ...] = (1,)


@dataclass(frozen=True, kw_only=True)
class Field(Tensor):
    """One input of an edit.

    `type` is that of the value in EditRequest: bytes, str, int, float, or tuple (of bytes).
    `default` is its value where a request leaves it out; one of `is_required` has none, and
    `draw` makes one a request. `is_word` strips a text and lowers its case. `help` is one sentence.

    Who may use it beside the endpoints and the Python client: `in_ensemble` edit_ensemble;
    `option` is its name on the command line and `column` in a batch's list; `parameter` is its name
    in the OpenAI API, which has it from Retouch alone if it `is_extra`. Empty names mean none."""

    type: type
    check: Check
    help: str
    default: Any = None
    draw: Callable[[], Any] | None = None
    is_required: bool = False
    is_word: bool = False
    in_ensemble: bool = True
    option: str = ""
    column: str = ""
    parameter: str = ""
    is_extra: bool = False

    @property
    def attribute(self) -> str:
        """The name in EditRequest and in the Python client's options."""
        return self.name.lower()

    @property
    def is_file(self) -> bool:
        """Whether its value is a file's bytes, or several files'."""
        return self.type in (bytes, tuple)

    def new_default(self) -> Any:
        """The value of a request that leaves the field out."""
        return self.draw() if self.draw else self.default

    def parsed(self, value: Any) -> Any:
        """EditRequest's value of a tensor's or a JSON value; RequestError."""
        if self.type is str:
            text = _text(self.name, value)
            return text.strip().lower() if self.is_word else text
        if self.type in (int, float):
            return self.type(value)
        file = value.encode() if isinstance(value, str) else bytes(value)
        return tuple(file.split()) if self.type is tuple else file


def new_seed() -> int:
    """A seed for a request that has none."""
    return secrets.randbelow(2**31)


FIELDS = (
    Field(
        "IMAGE",
        "BYTES",
        type=bytes,
        is_required=True,
        check=File("an image file", "send a picture file, as PNG, JPEG or WebP"),
        help="The source image: an encoded file, or its base64 text.",
        column="image",
        parameter="image",
    ),
    Field(
        "INSTRUCTION",
        "BYTES",
        type=str,
        is_required=True,
        check=Text(limits.MAX_INSTRUCTION),
        help="What to change, in a sentence.",
        column="instruction",
        parameter="prompt",
    ),
    Field(
        "SEED",
        "INT64",
        type=int,
        draw=new_seed,
        check=Range(0, limits.MAX_SEED, "left out, it is random"),
        help="The same seed gives the same image in the same lane.",
        option="--seed",
        column="seed",
        parameter="seed",
        is_extra=True,
    ),
    Field(
        "STEPS",
        "INT32",
        type=int,
        default=0,
        check=Range(0, limits.MAX_STEPS, "0 is the default"),
        help="Denoising steps; 0 is the checkpoint's default.",
        option="--steps",
        column="steps",
        parameter="steps",
        is_extra=True,
    ),
    Field(
        "GUIDANCE",
        "FP32",
        type=float,
        default=0.0,
        check=Range(0, limits.MAX_GUIDANCE, "0 is the default"),
        help="Guidance scale that the network takes as an input; 0 is the checkpoint's default.",
        option="--guidance",
        column="guidance",
        parameter="guidance",
        is_extra=True,
    ),
    Field(
        "PREVIEWS",
        "INT32",
        type=int,
        default=0,
        check=Range(0, limits.MAX_PREVIEWS),
        help="Previews before the result, fewer than the steps.",
        option="--previews",
        parameter="partial_images",
    ),
    Field(
        "PRECISION",
        "BYTES",
        type=str,
        default="auto",
        is_word=True,
        check=LaneOrPolicy(),
        help="The lane of the edit, or a policy that chooses one.",
        option="--precision",
        column="precision",
        parameter="model",
    ),
    Field(
        "REGION",
        "BYTES",
        type=bytes,
        default=b"auto",
        check=File("auto, full or a mask", "it must be auto, full or a mask of the image's size"),
        help="What may change: auto (the instruction decides), full, or the white part of a mask.",
        option="--region",
        column="region",
        parameter="mask",
    ),
    Field(
        "FORMAT",
        "BYTES",
        type=str,
        default="png",
        is_word=True,
        check=AnswerFormat(),
        help="File format of the answer, with its options.",
        option="--format",
        column="format",
        parameter="output_format",
    ),
    Field(
        "DEADLINE_MS",
        "INT32",
        type=int,
        default=0,
        check=Range(0, limits.MAX_DEADLINE_MS, "0 is none"),
        help="Milliseconds after which the server gives the edit up; 0 is no deadline.",
        option="--deadline-ms",
        column="deadline_ms",
        parameter="deadline_ms",
        is_extra=True,
    ),
    Field(
        "PRIORITY",
        "INT32",
        type=int,
        default=0,
        check=Range(0, limits.LOWEST_PRIORITY, "0 is the default, 1 goes first"),
        help="Edits of priority 1 go before others; 0 and 2 are normal.",
        option="--priority",
        column="priority",
        parameter="priority",
        is_extra=True,
    ),
    Field(
        "STEP_CACHE",
        "FP32",
        type=float,
        default=0.0,
        check=Range(0, 1, "0 is none"),
        help="A step reuses the last velocity while the predicted change is below this; 0 is off.",
        option="--step-cache",
        column="step_cache",
        parameter="step_cache",
        is_extra=True,
    ),
    Field(
        "NEGATIVE",
        "BYTES",
        type=str,
        default="",
        check=Text(limits.MAX_INSTRUCTION, may_be_blank=True),
        help="What the result should not show; it needs classifier-free guidance above 1.",
        option="--negative",
        column="negative",
        parameter="negative_prompt",
        is_extra=True,
    ),
    Field(
        "TRUE_CFG",
        "FP32",
        type=float,
        default=0.0,
        check=Range(0, limits.MAX_GUIDANCE, "0 is the default, 1 is none"),
        help="Scale of classifier-free guidance; 0 is the checkpoint's default, 1 is off.",
        option="--true-cfg",
        column="true_cfg",
        parameter="true_cfg_scale",
        is_extra=True,
    ),
    Field(
        "REFERENCES",
        "BYTES",
        type=tuple,
        default=(),
        check=Files(limits.MAX_REFERENCES),
        help="Reference images that the instruction may mention, in their order.",
        in_ensemble=False,
        option="--reference",
        column="references",
        parameter="image[]",
    ),
    Field(
        "ADAPTER",
        "BYTES",
        type=str,
        default="",
        is_word=True,
        check=AdapterScales(),
        help="Adapters of the server's folder with their scales, as sketch:0.8,ink:0.5.",
        option="--adapter",
        column="adapter",
        parameter="adapter",
        is_extra=True,
    ),
)
BY_NAME = {field.name: field for field in FIELDS}
REQUIRED = tuple(field.name for field in FIELDS if field.is_required)


def _text(name: str, value: Any) -> str:
    try:
        return value if isinstance(value, str) else bytes(value).decode("utf-8")
    except UnicodeDecodeError:
        refuse(name, "is not valid UTF-8 text")
