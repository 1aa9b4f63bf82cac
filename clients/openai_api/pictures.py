"""Pictures in and out: what JSON may hold, OpenAI's masks as ours, results at the size that was asked for."""

from __future__ import annotations

import base64
import binascii
import io
from typing import Any

from PIL import Image, ImageOps

from clients.openai_api.errors import ApiError, invalid
from retouch import images
from retouch.types import MAX_REFERENCES, Format

TEXT = {"type": "string", "format": "picture", "description": "Base64 text, or a data: URL; no other URL is fetched."}
PICTURE = {"anyOf": [TEXT, {"type": "object", "properties": {"image_url": TEXT}, "required": ["image_url"],
                            "additionalProperties": False}]}
PICTURES = {"type": "array", "items": PICTURE, "minItems": 1, "maxItems": 1 + MAX_REFERENCES}
EXPECTED = "send the file as base64 text or as a data: URL"


def decoded(source: Any, param: str) -> bytes:
    """The file in a JSON body: base64 text, a data: URL, or either as {"image_url": …}; ApiError."""
    if isinstance(source, dict):
        if source.keys() != {"image_url"}:
            raise _refused(param, "it has files by image_url alone; no files are kept here" if "file_id" in source
                           else "an object must have image_url and nothing else")
        source = source["image_url"]
    if not isinstance(source, str):
        raise invalid(f"Invalid '{param}': {EXPECTED}.", param, "invalid_type")
    if source[:8].lower().startswith(("http://", "https://")):
        raise _refused(param, f"this server fetches no URLs; {EXPECTED}")
    head, comma, text = source.partition(",")
    if source.startswith("data:"):
        if not (comma and head.startswith("data:image/") and head.endswith(";base64")):
            raise _refused(param, "a data: URL must begin like data:image/png;base64,")
        source = text
    try:
        return base64.b64decode(source, validate=True)
    except (binascii.Error, ValueError):
        raise _refused(param, f"it is not base64; {EXPECTED}") from None


def region_of(mask: bytes, size: tuple[int, int]) -> bytes:
    """A mask that is transparent where an image of `size` (width, height) may change, as REGION; RequestError."""
    width, height = size
    return images.encode_mask(images.decode_transparency(mask, height, width, "MASK"))


def size_of(result: bytes) -> tuple[int, int]:
    """(width, height) of a picture that was made here or by the doors."""
    with Image.open(io.BytesIO(result)) as image:
        return image.size


def finished(file: bytes, size: tuple[int, int], format: Format) -> bytes:
    """A picture of the doors at `size` (width, height) in a format: the very bytes when they are so already, else
    scaled until it covers the size and cut about its middle."""
    with Image.open(io.BytesIO(file)) as image:
        if image.size == size and image.format.lower() == format.name:
            return file
        picture = ImageOps.fit(image.convert("RGB"), size, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, format.name.upper(), **({} if format.name == "png" else {"quality": max(1, format.quality)}))
    return out.getvalue()


def _refused(param: str, why: str) -> ApiError:
    return invalid(f"Invalid '{param}': {why}.", param)
