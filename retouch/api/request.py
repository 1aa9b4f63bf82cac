"""The data of Retouch: what an edit asks for, what it may ask for, and what it answers.

Everything imports this file, which imports only the errors of ours. The tensor tables below are
the contract of the three doors (`edit`, `edit_sync`, `edit_ensemble`): a contract test holds every
config.pbtxt against them."""

from __future__ import annotations

import base64
import math
import re
import secrets
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from retouch.api.errors import RequestError

VERSION = "0.2.0"

MAX_IMAGE_BYTES = 50 * 1024 * 1024  # encoded, after base64 is undone
MAX_PIXELS = 64_000_000  # decoded
MIN_SIDE = 16
MAX_SIDE = 16384
MAX_ASPECT = 4.0
IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "GIF", "BMP")  # as Pillow names them

MAX_INSTRUCTION = 2000  # characters
MAX_SEED = 2**63 - 1
MAX_STEPS = 50
MAX_GUIDANCE = 10.0
MAX_PREVIEWS = 8
MAX_REFERENCES = 3  # images beside the edited one
LOWEST_PRIORITY = 2  # the doors' queues have two levels

FORMATS = ("png", "jpeg", "webp")
DEFAULT_QUALITY = (
    98  # of jpeg: below, colours that nobody edited move by more than 0.5 in the mean (CIEDE2000)
)
# quality of webp that keeps every pixel, and its default: lossy files halve the resolution of
# colours
LOSSLESS = 100
DEFAULT_LEVEL = 1  # of PNG: level 6 takes four times as long and saves 1.5 % of a photo

# -- lanes: one denoiser a precision, and one more for each adapter that is merged into it ---------

LANES = ("bf16", "fp8", "fp4")  # the widest first
PRECISIONS = ("auto", "draft", "balanced", "best", *LANES)
ADAPTER_NAME = (
    r"(?=.{1,40}$)[a-z0-9]+(?:-[a-z0-9]+)*"  # the lane of `sketch` in bf16 is bf16-sketch
)

# -- geometry --------------------------------------------------------------------------------------

CELL = 16  # pixels: one target token, one reference token
KEEP_BELOW = 24  # grey levels: a pixel that an edit moves less keeps the source's value
BUCKETS = (
    (128, 128),
    (96, 160),
    (160, 96),
)  # (height, width) in pixels the shipped checkpoint runs at


# -- tensors of the doors --------------------------------------------------------------------------


@dataclass(frozen=True)
class Tensor:
    """One tensor of a door: name, Triton's data type, dims without the batch dimension."""

    name: str
    datatype: str  # BYTES, INT32, INT64 or FP32
    dims: tuple[int, ...] = (1,)


INPUTS = (
    Tensor("IMAGE", "BYTES"),
    Tensor("INSTRUCTION", "BYTES"),
    Tensor("SEED", "INT64"),
    Tensor("STEPS", "INT32"),
    Tensor("GUIDANCE", "FP32"),
    Tensor("PREVIEWS", "INT32"),
    Tensor("PRECISION", "BYTES"),
    Tensor("REGION", "BYTES"),
    Tensor("FORMAT", "BYTES"),
    Tensor("DEADLINE_MS", "INT32"),
    Tensor("PRIORITY", "INT32"),
    Tensor("STEP_CACHE", "FP32"),
    Tensor("NEGATIVE", "BYTES"),
    Tensor("TRUE_CFG", "FP32"),
    Tensor("REFERENCES", "BYTES"),
)
ENSEMBLE_IMAGE = "EDITED"  # an ensemble cannot have an input and an output of one name
OUTPUTS = (Tensor("IMAGE", "BYTES"), Tensor("STEP", "INT32", (2,)), Tensor("INFO", "BYTES"))


@dataclass
class EditRequest:
    """One edit. Field names are the input tensors' names in lower case.

    `region` is b"auto" (the parser's), b"full" or an encoded mask of the image's size (white =
    edit). `steps` and `guidance` 0 mean the family's default, `deadline_ms` 0 none. `priority` 1
    goes before others, as in Triton's queue, 0 and 2 do not. `step_cache` is the threshold of a
    `retouch.diffusion.step_cache.StepCache`, 0 none. `negative` says what the result should not be,
    "" is the family's default, and `true_cfg` how strongly, 0 the family's default; `references`
    are further images that the instruction may speak of, in the order in which a family's templates
    number them."""

    image: bytes
    instruction: str
    seed: int = field(default_factory=lambda: secrets.randbelow(2**31))
    steps: int = 0
    guidance: float = 0.0
    previews: int = 0
    precision: str = "auto"
    region: bytes = b"auto"
    format: str = "png"
    deadline_ms: int = 0
    priority: int = 0
    step_cache: float = 0.0
    negative: str = ""
    true_cfg: float = 0.0
    references: tuple[bytes, ...] = ()

    def validate(self) -> EditRequest:
        """Raise RequestError at the first field out of its limits; images are looked at when they
        are decoded."""
        if not self.image:
            raise RequestError(
                "IMAGE is empty; send a picture file, as PNG, JPEG or WebP", field="IMAGE"
            )
        if not self.instruction.strip():
            raise RequestError(
                f"INSTRUCTION is blank; send a sentence of 1 to {MAX_INSTRUCTION} characters",
                field="INSTRUCTION",
            )
        if len(self.instruction) > MAX_INSTRUCTION:
            raise RequestError(
                f"INSTRUCTION has {len(self.instruction)} characters; at most {MAX_INSTRUCTION} are allowed",
                field="INSTRUCTION",
            )
        _within("SEED", self.seed, 0, MAX_SEED, "left out, it is random")
        _within("STEPS", self.steps, 0, MAX_STEPS, "0 is the default")
        _within("GUIDANCE", self.guidance, 0, MAX_GUIDANCE, "0 is the default")
        _within("PREVIEWS", self.previews, 0, MAX_PREVIEWS)
        if self.precision not in PRECISIONS and not is_adapted(self.precision):
            raise RequestError(
                f"PRECISION {_short(self.precision)} is unknown; it must be {_one_of(PRECISIONS)}, or one "
                "of the last three with an adapter's name, as bf16-sketch",
                field="PRECISION",
            )
        if not self.region:
            raise RequestError(
                "REGION is empty; it must be auto, full or a mask of the image's size",
                field="REGION",
            )
        parse_format(self.format)
        _within("DEADLINE_MS", self.deadline_ms, 0, 2**31 - 1, "0 is none")
        _within("PRIORITY", self.priority, 0, LOWEST_PRIORITY, "0 is the default, 1 goes first")
        _within("STEP_CACHE", self.step_cache, 0, 1, "0 is none")
        if len(self.negative) > MAX_INSTRUCTION:
            raise RequestError(
                f"NEGATIVE has {len(self.negative)} characters; at most {MAX_INSTRUCTION} are allowed",
                field="NEGATIVE",
            )
        _within("TRUE_CFG", self.true_cfg, 0, MAX_GUIDANCE, "0 is the default, 1 is none")
        if len(self.references) > MAX_REFERENCES:
            raise RequestError(
                f"REFERENCES holds {len(self.references)} images beside the edited one; "
                f"at most {MAX_REFERENCES} are allowed",
                field="REFERENCES",
            )
        return self


def precision_of(lane: str) -> str:
    """The number format of a lane: bf16 of bf16 and of bf16-sketch."""
    return lane.partition("-")[0]


def is_adapted(lane: str) -> bool:
    """Whether it is a lane's name with an adapter's, loaded or not."""
    precision, hyphen, adapter = lane.partition("-")
    return bool(precision in LANES and hyphen and re.fullmatch(ADAPTER_NAME, adapter))


def defaults() -> dict[str, Any]:
    """The default of each optional input by its tensor's name: the field's of EditRequest, a new
    seed at each call."""
    values = {}
    for each in fields(EditRequest):
        if each.default is not MISSING:
            values[each.name.upper()] = each.default
        elif each.default_factory is not MISSING:
            values[each.name.upper()] = each.default_factory()
    return values


REQUIRED = tuple(tensor.name for tensor in INPUTS if tensor.name not in defaults())


def request_from_values(values: dict[str, Any]) -> EditRequest:
    """EditRequest of one value per input tensor (bytes for BYTES), validated.

    Absent optional inputs keep EditRequest's defaults. RequestError, also where a required input is
    absent."""
    for name in REQUIRED:
        if name not in values:
            raise RequestError(
                f"{name} is missing; an edit needs {' and '.join(REQUIRED)}", field=name
            )
    fields_of_request = {name.lower(): READERS[name](name, value) for name, value in values.items()}
    return EditRequest(**fields_of_request).validate()


def request_to_values(request: EditRequest) -> dict[str, Any]:
    """The other way round: one plain value per input tensor, texts as bytes; references become
    base64 texts with spaces between."""
    values = {tensor.name: getattr(request, tensor.name.lower()) for tensor in INPUTS}
    values["REFERENCES"] = b" ".join(map(as_base64, request.references))
    return {
        name: value.encode() if isinstance(value, str) else value for name, value in values.items()
    }


def as_base64(file: bytes) -> bytes:
    """Base64 text of a file, on one line. What is such a text already, or a data: URL, is not
    encoded again.

    Encoded images hold bytes that no text has, so that the two cannot be mistaken for each other.
    """
    text = b"".join(file.split())
    if re.fullmatch(rb"(data:[^,]{0,59},)?[A-Za-z0-9+/]*={0,2}", text):
        return text
    return base64.b64encode(file)


@dataclass(frozen=True)
class Format:
    """How answers are encoded, and how the request's files are read. `base64` asks for text,
    because JSON cannot carry bytes (HTTP generate_stream); `first_frame` takes that of an animated
    file, which is refused otherwise."""

    name: str
    quality: int = DEFAULT_QUALITY
    base64: bool = False
    level: int = DEFAULT_LEVEL
    first_frame: bool = False


def parse_format(text: str) -> Format:
    """`jpeg;quality=80`, `png;level=6`, `png;base64` or `png;first_frame` → Format;
    RequestError."""
    name, *options = [part.strip() for part in text.lower().split(";")]
    if name not in FORMATS:
        raise RequestError(
            f"FORMAT {_short(name)} is unknown; it must be {_one_of(FORMATS)}", field="FORMAT"
        )
    numbers = {"quality": LOSSLESS if name == "webp" else DEFAULT_QUALITY, "level": DEFAULT_LEVEL}
    for option in options:
        key, _, digits = option.replace(" ", "").partition("=")
        if key in numbers and digits.isascii() and digits.isdigit():
            numbers[key] = int(digits[:9])
        elif option not in ("base64", "first_frame"):
            raise RequestError(
                f"FORMAT option {_short(option)} is unknown; there are quality=1 to 100, level=0 to 9, "
                "first_frame and base64",
                field="FORMAT",
            )
    _within("FORMAT", numbers["quality"], 1, 100, part=" quality")
    _within("FORMAT", numbers["level"], 0, 9, part=" level")
    return Format(
        name, numbers["quality"], "base64" in options, numbers["level"], "first_frame" in options
    )


def _within(
    name: str, value: float, low: float, high: float, note: str = "", part: str = ""
) -> None:
    if not low <= value <= high:  # nor is nan
        allowed = f"from {low:g} to {high if isinstance(high, int) else format(high, 'g')}"
        finite = "" if math.isfinite(value) else "a finite number "
        raise RequestError(
            f"{name}{part} is {value}; it must be {finite}{allowed}"
            + (f" ({note})" if note else ""),
            field=name,
        )


def _text(name: str, value: Any) -> str:
    try:
        return value if isinstance(value, str) else bytes(value).decode("utf-8")
    except UnicodeDecodeError:
        raise RequestError(f"{name} is not valid UTF-8 text", field=name) from None


def _word(name: str, value: Any) -> str:
    return _text(name, value).strip().lower()


def _bytes(name: str, value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


def _files(name: str, value: Any) -> tuple[bytes, ...]:
    return tuple(_bytes(name, value).split())


def _integer(name: str, value: Any) -> int:
    return int(value)


def _number(name: str, value: Any) -> float:
    return float(value)


# how the value of each input tensor becomes the field of EditRequest that has its name
READERS = {
    "IMAGE": _bytes,
    "INSTRUCTION": _text,
    "SEED": _integer,
    "STEPS": _integer,
    "GUIDANCE": _number,
    "PREVIEWS": _integer,
    "PRECISION": _word,
    "REGION": _bytes,
    "FORMAT": _word,
    "DEADLINE_MS": _integer,
    "PRIORITY": _integer,
    "STEP_CACHE": _number,
    "NEGATIVE": _text,
    "TRUE_CFG": _number,
    "REFERENCES": _files,
}


def _short(text: str) -> str:
    return repr(text if len(text) <= 32 else text[:29] + "...")


def _one_of(names: tuple[str, ...]) -> str:
    return ", ".join(names[:-1]) + " or " + names[-1]
