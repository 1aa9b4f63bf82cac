"""A request's body, multipart or JSON, as one Order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Request
from starlette.datastructures import UploadFile

from clients.openai_api.errors import ApiError, invalid
from clients.openai_api.parameters import Parameters
from clients.openai_api.pictures import decoded
from retouch.types import MAX_REFERENCES

FORM, JSON = "multipart/form-data", "application/json"
MOST_PARTS = 64  # of a form
PICTURES = {"image": "image", "image[]": "image", "mask": "mask"}  # a form's names of files


@dataclass(frozen=True)
class Order:
    """What a client wants: parameters and pictures as files, of which `image` is edited."""

    parameters: Parameters
    image: bytes
    references: tuple[bytes, ...] = ()
    mask: bytes | None = None


async def read(request: Request) -> Order:
    """The order in a request's body; ApiError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == FORM:
        return await _of_form(request)
    if kind == JSON:
        return _of_json(await request.body())
    raise ApiError(415, f"Unsupported content type: '{kind[:64]}'. Send {FORM} or {JSON}.", "unsupported_content_type")


async def _of_form(request: Request) -> Order:
    fields: dict[str, str] = {}
    files: dict[str, list[bytes]] = {"image": [], "mask": []}
    async with request.form(max_files=MOST_PARTS, max_fields=MOST_PARTS) as form:
        for name, part in form.multi_items():
            if isinstance(part, UploadFile) != (name in PICTURES):
                kind = "a file" if name in PICTURES else "text"
                raise invalid(f"Invalid '{name[:64]}': it must be {kind}.", name[:64], "invalid_type")
            if name in PICTURES:
                files[PICTURES[name]].append(await part.read())
            elif name in fields:
                raise invalid(f"Invalid '{name[:64]}': it was sent twice.", name[:64])
            else:
                fields[name] = part
    return _order(fields, files["image"], files["mask"], text=True)


def _of_json(body: bytes) -> Order:
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise invalid("The body is not valid JSON.", None, "invalid_json") from None
    if not isinstance(fields, dict):
        raise invalid("The body must be a JSON object.", None, "invalid_json")
    pictures = [decoded(source, name) for name in ("image", "images") if name in fields
                for source in _listed(fields.pop(name), name)]
    masks = [decoded(source, "mask") for source in (fields.pop("mask", None),) if source is not None]
    return _order(fields, pictures, masks, text=False)


def _order(fields: Mapping[str, Any], pictures: list[bytes], masks: list[bytes], text: bool) -> Order:
    parameters = Parameters.of(fields, text)
    if not pictures:
        raise invalid("Missing required parameter: 'image'.", "image", "missing_required_parameter")
    if len(pictures) > 1 + MAX_REFERENCES:
        raise invalid(f"Invalid 'image': there are {len(pictures)}; one to edit and at most {MAX_REFERENCES} more are "
                      "allowed.", "image")
    if len(masks) > 1:
        raise invalid("Invalid 'mask': it was sent twice.", "mask")
    return Order(parameters, pictures[0], tuple(pictures[1:]), masks[0] if masks else None)


def _listed(source: Any, name: str) -> list[Any]:
    if source == []:
        raise invalid(f"Invalid '{name}': it holds no image.", name)
    return source if isinstance(source, list) else [source]
