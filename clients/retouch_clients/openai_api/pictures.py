"""Images of requests and results: JSON sources, masks, and results at the requested size."""

from __future__ import annotations

import io
from typing import Any, Literal

import numpy as np
import orjson
from PIL import Image, ImageOps

from retouch.api.answer_format import Format
from retouch.api.limits import MAX_REFERENCES
from retouch.imaging import images
from retouch_clients.openai_api import base64_text
from retouch_clients.openai_api.errors import ApiError, invalid
from retouch_clients.openai_api.json_outline import LongText

TEXT = {
    "type": "string",
    "format": "picture",
    "description": "Base64 text or a data: URL. Other URLs are not fetched.",
}
PICTURE = {
    "anyOf": [
        TEXT,
        {
            "type": "object",
            "properties": {"image_url": TEXT},
            "required": ["image_url"],
            "additionalProperties": False,
        },
    ]
}
PICTURES = {"type": "array", "items": PICTURE, "minItems": 1, "maxItems": 1 + MAX_REFERENCES}
HEAD = 256  # bytes that contain the comma of a data: URL
EXPECTED = "send the file as base64 text or a data: URL"


def decoded(source: Any, param: str) -> bytes:
    """The file of a JSON value: base64 text, a data: URL, or either as {"image_url": …}.

    ApiError for anything else."""
    if isinstance(source, dict):
        # generated clients send null for an unused file_id
        source = {
            name: value for name, value in source.items() if value is not None or name != "file_id"
        }
        if source.keys() != {"image_url"}:
            raise _refused(
                param,
                "file_id is not supported, as no files are stored; use image_url"
                if "file_id" in source
                else "an object must have image_url and no other field",
            )
        source = source["image_url"]
    if not isinstance(source, (str, LongText)):
        raise invalid(f"Invalid '{param}': {EXPECTED}.", param, "invalid_type")
    escaped = isinstance(source, LongText)
    raw = source.raw if escaped else memoryview(source.encode())
    head = _head(raw, escaped)
    if head.lower().startswith(("http://", "https://")):
        raise _refused(param, f"this server does not fetch URLs; {EXPECTED}")
    if head.startswith("data:"):
        kind, comma, _ = head.partition(",")
        if not (comma and kind.startswith("data:image/") and kind.endswith(";base64")):
            raise _refused(param, "a data: URL must start like data:image/png;base64,")
        raw = raw[bytes(raw[:HEAD]).index(b",") + 1 :]
    try:
        return not_empty(base64_text.decode(raw, escaped), param)
    except ValueError:
        raise _refused(param, f"it is not base64; {EXPECTED}") from None


def not_empty(file: bytes, param: str) -> bytes:
    """The file; ApiError if it is empty. An empty mask is not the same as no mask."""
    if not file:
        raise _refused(param, "the file is empty; send a PNG, JPEG or WebP file")
    return file


def _head(raw: memoryview, escaped: bool) -> str:
    """The start of a text up to its comma, with JSON escapes decoded."""
    head = bytes(raw[:HEAD])
    head = head[: head.index(b",") + 1] if b"," in head else head[:16]
    if escaped and b"\\" in head:
        try:
            return orjson.loads(b'"%b"' % head.rstrip(b"\\"))
        except orjson.JSONDecodeError:
            return ""
    return head.decode("utf-8", "replace")


def region_of(mask: bytes, size: tuple[int, int]) -> bytes:
    """REGION for an OpenAI mask, which is transparent where the image may change.

    `size` is the image's (width, height). RequestError if the mask does not fit it."""
    width, height = size
    return images.encode_mask(images.decode_transparency(mask, height, width, "MASK"))


def size_of(result: bytes) -> tuple[int, int]:
    """(width, height) of a result."""
    with Image.open(io.BytesIO(result)) as image:
        return image.size


def background_of(result: bytes) -> Literal["opaque", "transparent"]:
    """Whether a result has an alpha channel."""
    with Image.open(io.BytesIO(result)) as image:
        return "transparent" if image.has_transparency_data else "opaque"


def finished(file: bytes, size: tuple[int, int], format: Format) -> bytes:
    """A result at `size` (width, height) in a format, with its colour profile and transparency.

    The bytes are unchanged if size and format match already. Otherwise the image is scaled to
    cover the size and cropped at the centre."""
    with Image.open(io.BytesIO(file)) as image:
        if image.size == size and image.format == format.name.upper():
            return file
    photo = images.decode_photo(file)
    pixels = photo.opaque() if format.name == "jpeg" else photo.pixels
    if photo.alpha is not None and format.name != "jpeg":
        pixels = np.dstack([pixels, photo.alpha])
    picture = ImageOps.fit(Image.fromarray(pixels), size, Image.Resampling.LANCZOS)
    return images.encode(
        np.asarray(picture), format.name, max(1, format.quality), format.level, photo.icc
    )


def _refused(param: str, why: str) -> ApiError:
    return invalid(f"Invalid '{param}': {why}.", param)
