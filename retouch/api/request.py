"""One edit's request: as a dataclass, as the Python client's options, and as values of tensors."""

from __future__ import annotations

import base64
import dataclasses
import os
import re
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any, Literal, TypedDict, Union

from retouch.api.checks import refuse
from retouch.api.fields import BY_NAME, FIELDS, REQUIRED
from retouch.api.seed import new_seed

if TYPE_CHECKING:
    from PIL import Image

ImageInput = Union[bytes, bytearray, memoryview, "os.PathLike[str]", IO[bytes], "Image.Image"]


@dataclasses.dataclass
class EditRequest:
    """One edit: a value for every field of the table (retouch/api/fields.py), which says what it
    means. Images are encoded files; `references` keep the order in which a family's templates
    number them."""

    image: bytes
    instruction: str
    seed: int = dataclasses.field(default_factory=new_seed)
    steps: int = 0
    guidance: float = 0.0
    previews: int = 0
    precision: str = "auto"
    region: bytes = b"auto"
    format: str = "png"
    background: str = "auto"
    size: str = "auto"
    deadline_ms: int = 0
    priority: int = 0
    step_cache: float = 0.0
    region_cache: int = 0
    align: int = 0
    detail: str = "auto"
    negative: str = ""
    true_cfg: float = 0.0
    on_unknown: str = "warn"
    score: int = 0
    references: tuple[bytes, ...] = ()
    adapter: str = ""

    @property
    def finds_region(self) -> bool:
        """Whether the denoiser looks for the region."""
        return self.region.strip().lower() == b"find"

    def validate(self) -> EditRequest:
        """The request itself; RequestError at the first field out of its limits. Images are checked
        when they are decoded."""
        for field in FIELDS:
            field.check(field.name, getattr(self, field.attribute))
        return self

    def validate_for_ensemble(self) -> EditRequest:
        """The request itself; RequestError where it has a field that edit_ensemble does not
        take."""
        for field in FIELDS:
            if not field.in_ensemble and getattr(self, field.attribute) != field.default:
                refuse(field.name, "cannot be sent to edit_ensemble; use edit or edit_sync")
        return self


class EditOptions(TypedDict, total=False):
    """The keyword options of the Python client's `edit`: the optional fields of EditRequest, with
    images in any form that the client reads."""

    seed: int
    steps: int
    guidance: float
    previews: int
    precision: str
    region: Literal["auto", "full", "find"] | ImageInput
    format: str
    background: str
    size: str
    deadline_ms: int
    priority: int
    step_cache: float
    region_cache: int
    align: int
    detail: str
    negative: str
    true_cfg: float
    on_unknown: str
    score: int
    references: Sequence[ImageInput]
    adapter: str


def request_from_values(values: dict[str, Any]) -> EditRequest:
    """EditRequest of one value per input tensor (bytes for BYTES), validated.

    Optional inputs that are absent keep EditRequest's defaults. RequestError, also where a required
    input is absent."""
    for name in REQUIRED:
        if name not in values:
            refuse(name, f"is missing; an edit needs {' and '.join(REQUIRED)}")
    attributes = {
        BY_NAME[name].attribute: BY_NAME[name].parsed(value) for name, value in values.items()
    }
    return EditRequest(**attributes).validate()


def request_to_values(request: EditRequest) -> dict[str, Any]:
    """One plain value per input tensor: texts as bytes, references as base64 texts with spaces
    between."""
    values = {}
    for field in FIELDS:
        value = getattr(request, field.attribute)
        if field.type is tuple:
            value = b" ".join(map(as_base64, value))
        values[field.name] = value.encode() if isinstance(value, str) else value
    return values


def as_base64(file: bytes) -> bytes:
    """Base64 text of a file, on one line. Base64 text and data: URLs are not encoded again.

    Encoded images hold bytes that no text has, so that the two cannot be mistaken for each other.
    """
    text = b"".join(file.split())
    if re.fullmatch(rb"(data:[^,]{0,59},)?[A-Za-z0-9+/]*={0,2}", text):
        return text
    return base64.b64encode(file)
