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

from retouch.api import limits
from retouch.api.adapters import AdapterScales
from retouch.api.answer_format import AnswerFormat
from retouch.api.checks import AnswerSize, File, Files, LaneOrPolicy, OneOf, Range, Text
from retouch.api.field import Field


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
        check=File(
            "auto, full, find or a mask",
            "it must be auto, full, find or a mask of the image's size",
        ),
        help="What may change: auto (the parser decides), full, find (an early step decides), or "
        "the white part of a mask.",
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
        "BACKGROUND",
        "BYTES",
        type=str,
        default="auto",
        is_word=True,
        check=OneOf(limits.BACKGROUNDS),
        help="Background of the answer: auto is as the source image's; some checkpoints make it "
        "transparent.",
        in_ensemble=False,
        option="--background",
        column="background",
        parameter="background",
    ),
    Field(
        "SIZE",
        "BYTES",
        type=str,
        default="auto",
        is_word=True,
        check=AnswerSize(),
        help="WIDTHxHEIGHT of the answer in pixels, in checkpoints that can; auto is the source "
        "image's.",
        in_ensemble=False,
        option="--size",
        column="size",
        parameter="target_size",
        is_extra=True,
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
        "REGION_CACHE",
        "INT32",
        type=int,
        default=0,
        check=Range(0, limits.MAX_REGION_CACHE, "0 is none"),
        help="Steps on the region alone that follow a whole step; 0 is none.",
        option="--region-cache",
        column="region_cache",
        parameter="region_cache",
        is_extra=True,
    ),
    Field(
        "ALIGN",
        "INT32",
        type=int,
        default=0,
        check=Range(0, 1, "0 is off"),
        help="Undo a shift of the whole picture by the model: 1 is on, 0 is off.",
        in_ensemble=False,
        option="--align",
        column="align",
        parameter="align",
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
        check=Files(limits.MAX_REFERENCES, limits.MAX_REFERENCE_BYTES),
        help="Reference images that the instruction may mention, in their order; the checkpoint "
        "limits how many.",
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
