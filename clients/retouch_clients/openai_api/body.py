"""A request's body, multipart or JSON, as one ImageEditRequest."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from retouch.api.limits import MAX_REFERENCES
from retouch_clients.openai_api.errors import ApiError, invalid
from retouch_clients.openai_api.json_body import fields_of
from retouch_clients.openai_api.json_outline import LongText
from retouch_clients.openai_api.multipart import Part, parts_of
from retouch_clients.openai_api.parameters import FIELDS, Parameters
from retouch_clients.openai_api.pictures import decoded, not_empty

FORM = "multipart/form-data"
JSON = "application/json"
PICTURES = ("image", "images", "mask")
INDEXED = re.compile(
    r"(image|images|mask)(\[\d{0,4}\])?"
)  # names of files in a form: image, image[], image[0]
MOST_TEXT = 64 << 10  # bytes of a text field in a form
KNOWN = frozenset({*Parameters.model_fields, *FIELDS, *PICTURES})


@dataclass(frozen=True)
class ImageEditRequest:
    """A parsed request. `image` is the source image; all images are encoded files."""

    parameters: Parameters
    image: bytes
    references: tuple[bytes, ...] = ()
    mask: bytes | None = None


async def read(request: Request, lenient: bool = False) -> ImageEditRequest:
    """Parse a request's body; ApiError."""
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == FORM:
        return _from_form(await parts_of(content_type, request.stream()), lenient)
    if kind == JSON:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
        return await asyncio.to_thread(_from_json, body, lenient)
    raise ApiError(
        415,
        f"Unsupported content type: '{kind[:64]}'. Send {FORM} or {JSON}.",
        "unsupported_content_type",
    )


def _from_form(parts: list[Part], lenient: bool) -> ImageEditRequest:
    fields: dict[str, str] = {}
    files: dict[str, list[bytes]] = {"image": [], "mask": []}
    for part in parts:
        name = part.name[:64]
        picture = INDEXED.fullmatch(part.name)
        if picture:
            kind = "mask" if picture[1] == "mask" else "image"
            files[kind].append(not_empty(part.data.getvalue(), name))
        elif part.is_file:
            raise invalid(f"Invalid '{name}': it must be text.", name, "invalid_type")
        elif part.name in fields:
            raise invalid(f"Invalid '{name}': it was sent twice.", name)
        else:
            fields[part.name] = _text(part, name)
    return _request(fields, files["image"], files["mask"], text=True, lenient=lenient)


def _text(part: Part, name: str) -> str:
    if part.data.tell() > MOST_TEXT:
        raise invalid(f"Invalid '{name}': it is too long.", name)
    try:
        return part.data.getvalue().decode("utf-8")
    except UnicodeDecodeError:
        raise invalid(f"Invalid '{name}': it is not valid UTF-8 text.", name) from None


def _from_json(body: bytearray, lenient: bool) -> ImageEditRequest:
    fields = fields_of(body, KNOWN)
    listed = [(name, source) for name in ("image", "images") for source in _listed(fields, name)]
    pictures = [decoded(source, name) for name, source in listed]
    mask = fields.get("mask")
    masks = [] if mask is None else [decoded(mask, "mask")]
    for name, value in fields.items():
        if name not in PICTURES and isinstance(value, LongText):
            raise invalid(f"Invalid '{name}': it is too long.", name)
    return _request(fields, pictures, masks, text=False, lenient=lenient)


def _listed(fields: dict[str, Any], name: str) -> list[Any]:
    """The images under a name in JSON. Generated clients send null for the name they do not use."""
    other = "images" if name == "image" else "image"
    null = name in fields and fields[name] is None
    if name not in fields or null and (fields.get(other) is not None or name == "images"):
        return []
    source = fields[name]
    if source == []:
        raise invalid(f"Invalid '{name}': it contains no image.", name)
    listed = source if isinstance(source, list) else [source]
    if len(listed) > 1 + MAX_REFERENCES:
        raise _too_many(len(listed))
    return listed


def _request(
    fields: Mapping[str, Any], pictures: list[bytes], masks: list[bytes], text: bool, lenient: bool
) -> ImageEditRequest:
    parameters = Parameters.of(
        {name: value for name, value in fields.items() if name not in PICTURES}, text, lenient
    )
    if not pictures:
        raise invalid("Missing required parameter: 'image'.", "image", "missing_required_parameter")
    if len(pictures) > 1 + MAX_REFERENCES:
        raise _too_many(len(pictures))
    if len(masks) > 1:
        raise invalid("Invalid 'mask': it was sent twice.", "mask")
    if masks and parameters.region:
        raise invalid(
            "Invalid 'region': a mask says what may change; send only one of them.", "region"
        )
    return ImageEditRequest(
        parameters, pictures[0], tuple(pictures[1:]), masks[0] if masks else None
    )


def _too_many(count: int) -> ApiError:
    return invalid(
        f"Invalid 'image': there are {count} images; one source image and at most "
        f"{MAX_REFERENCES} references are allowed.",
        "image",
    )
