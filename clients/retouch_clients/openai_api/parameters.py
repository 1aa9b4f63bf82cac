"""What an edit may ask for beside its pictures: OpenAI's fields, ours, and what is refused with a
reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from retouch.api.answer_format import Format
from retouch.api.limits import MAX_INSTRUCTION
from retouch.api.request import EditOptions
from retouch_clients.openai_api.errors import invalid, of_validation, unknown_parameter
from retouch_clients.openai_api.extra_parameters import EXTRAS, with_extras
from retouch_clients.openai_api.lanes import MODEL

MAX_N = 10
MAX_PARTIAL_IMAGES = 3
SIDE = r"(1[6-9]|[2-9]\d|[1-9]\d\d|[1-3]\d{3}|40[0-8]\d|409[0-6])"  # 16 to 4096
PLAIN_QUALITY = 100  # what OpenAI takes where output_compression is not given
POLICIES = {
    "auto": "auto",
    "low": "draft",
    "medium": "balanced",
    "high": "best",
}  # quality, and what chooses the lane

FIELDS = {  # OpenAI's parameters that have no meaning here
    "markup": "mark what may change by a mask",
    "svg": "results are pixels",
    "style": "say it in the prompt",
    "complexity": "quality chooses what an edit costs",
    "frame_count": "results have one frame",
    "frame_duration_ms": "results have one frame",
}
VALUES = {  # values of OpenAI's that have none
    ("response_format", "url"): "nothing is stored here; leave it out or send b64_json",
    (
        "input_fidelity",
        "low",
    ): "what an edit does not touch is always the source's; leave it out or send high",
    ("moderation", "auto"): "nothing is moderated here; leave it out or send low",
    ("output_format", "gif"): "there are png, jpeg and webp",
    ("output_format", "svg"): "there are png, jpeg and webp",
    ("quality", "standard"): "there are auto, low, medium and high",
    ("quality", "hd"): "there are auto, low, medium and high",
    ("quality", "xhigh"): "high is the widest lane",
    ("quality", "max"): "high is the widest lane",
}
# what is left out of a request instead, where the server is lenient: it changes no more than how
# the result comes
LENIENT_FIELDS = frozenset({"style", "complexity", "frame_count", "frame_duration_ms"})
LENIENT_NAMES = frozenset({"response_format", "input_fidelity", "moderation", "quality"})


class OpenAIParameters(BaseModel):
    """OpenAI's parameters that have a meaning here; None is one that is left out, as null is in
    JSON."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    prompt: str = Field(
        min_length=1,
        max_length=MAX_INSTRUCTION,
        pattern=r"[^\s\x1c-\x1f]",
        description="What to change, in a sentence.",
    )
    model: str | None = Field(
        None, description=f"`{MODEL}`, or one of its lanes as listed by /v1/models."
    )
    n: int | None = Field(
        None, ge=1, le=MAX_N, description="Results of seed, seed + 1 and so on; 1 without."
    )
    size: str | None = Field(
        None,
        pattern=f"^(auto|{SIDE}x{SIDE})$",
        description=(
            "`auto`, the source's, or WIDTHxHEIGHT with sides of 16 to 4096: the result is scaled "
            "until it covers it, and cut about its middle where the shapes differ."
        ),
    )
    quality: Literal["auto", "low", "medium", "high"] | None = Field(
        None, description="Chooses among the lanes; not together with a lane as `model`."
    )
    output_format: Literal["png", "jpeg", "webp"] | None = Field(None, description="`png` without.")
    output_compression: int | None = Field(
        None, ge=0, le=100, description="Of jpeg and webp, 100 without."
    )
    response_format: Literal["b64_json"] | None = Field(
        None, description="Pictures come inside the answer."
    )
    background: Literal["auto", "opaque", "transparent"] | None = Field(
        None,
        description="`auto`, the source's; `transparent` is for some checkpoints, as png or webp.",
    )
    input_fidelity: Literal["high"] | None = Field(
        None, description="Pixels outside of the edit are the source's."
    )
    moderation: Literal["low"] | None = Field(None, description="Nothing is moderated.")
    stream: bool | None = Field(None, description="Send events as they come.")
    partial_images: int | None = Field(
        None, ge=0, le=MAX_PARTIAL_IMAGES, description="Of a stream, on the way."
    )
    user: str | None = Field(
        None, max_length=256, description="Told back as `safety_identifier`; not kept."
    )
    safety_identifier: str | None = Field(None, max_length=256, description="Told back; not kept.")


class Parameters(with_extras(OpenAIParameters)):
    """All parameters of a request: OpenAI's and Retouch's."""

    region: Literal["auto", "full", "find"] | None = Field(
        None,
        description=(
            "Retouch only. What may change where there is no mask: auto (the parser decides), "
            "full, find (an early step decides)."
        ),
    )
    _ignored: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def of(cls, values: Mapping[str, Any], text: bool, lenient: bool = False) -> Parameters:
        """Of a body's fields but the pictures; `text` says that numbers come as text, as in a form.
        `lenient` leaves out OpenAI's parameters that have no meaning here. ApiError."""
        values = {name: _whole(value) for name, value in values.items() if value is not None}
        ignored = _meaningless(values) if lenient else {}
        values = {name: value for name, value in values.items() if name not in ignored}
        _refuse(values)
        try:
            parameters = cls.model_validate(values, strict=not text)._together()
        except ValidationError as error:
            raise of_validation(error) from None
        parameters._ignored = ignored
        return parameters

    def _together(self) -> Parameters:
        if self.format.name == "png" and self.format.quality < PLAIN_QUALITY:
            raise invalid(
                "Invalid 'output_compression': png has no less than 100; "
                "send jpeg or webp as output_format.",
                "output_compression",
                "invalid_png_output_compression",
            )
        if self.background == "transparent" and self.format.name == "jpeg":
            raise invalid(
                "Invalid 'background': jpeg has no transparency; "
                "send png or webp as output_format.",
                "background",
            )
        if self.stream and (self.n or 1) > 1:
            raise invalid(f"Invalid 'n': a stream has one result, and n is {self.n}.", "n")
        if self.partial_images and not self.stream:
            raise invalid(
                "Invalid 'partial_images': they are a stream's; send stream as true.",
                "partial_images",
            )
        return self

    def extras(self) -> EditOptions:
        """The client's options by the parameters that Retouch adds, without those left out."""
        values = {field.attribute: getattr(self, field.parameter) for field in EXTRAS}
        return cast(
            EditOptions, {name: value for name, value in values.items() if value is not None}
        )

    @property
    def ignored(self) -> dict[str, str]:
        """The parameters that were left out, and why."""
        return self._ignored

    @property
    def format(self) -> Format:
        compression = PLAIN_QUALITY if self.output_compression is None else self.output_compression
        return Format(self.output_format or "png", compression)

    @property
    def size_asked(self) -> tuple[int, int] | None:
        """(width, height); None is the source's."""
        if self.size in (None, "auto"):
            return None
        width, height = map(int, self.size.split("x"))
        return width, height

    @property
    def told_back(self) -> str | None:
        return self.safety_identifier or self.user or None


def _whole(value: Any) -> Any:
    """JSON has one kind of number: 7.0 is 7."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _meaningless(values: Mapping[str, Any]) -> dict[str, str]:
    """What a lenient server leaves out, and why."""
    ignored = {
        name: reason for name, reason in FIELDS.items() if name in values and name in LENIENT_FIELDS
    }
    for name in LENIENT_NAMES & values.keys():
        if isinstance(values[name], str) and (name, values[name]) in VALUES:
            ignored[name] = VALUES[name, values[name]].partition(";")[0]
    return ignored


def _refuse(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        field = name.partition("[")[0]
        if field not in FIELDS and name not in Parameters.model_fields:
            raise unknown_parameter(name)
        if field in FIELDS:
            raise invalid(
                f"Unsupported parameter: '{name}': {FIELDS[field]}.", field, "unsupported_parameter"
            )
        if isinstance(value, str) and (name, value) in VALUES:
            raise invalid(
                f"Unsupported value: '{name}' cannot be '{value}': {VALUES[name, value]}.",
                name,
                "unsupported_value",
            )
