"""Images, masks and reference images that the Python client accepts, read into the bytes of an
encoded file."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retouch.api.limits import REGIONS
from retouch.api.request import EditOptions, EditRequest, ImageInput

if TYPE_CHECKING:
    from PIL import Image
    from typing_extensions import Unpack

ALLOWED = "bytes, bytearray, memoryview, a pathlib.Path, a file opened with 'rb', or a PIL image"
PNG_MODES = ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")  # modes that PNG stores without conversion


def edit_request(
    image: ImageInput, instruction: str, **options: Unpack[EditOptions]
) -> EditRequest:
    """A validated EditRequest.

    `image`, `region` (a mask) and every entry of `references` may be any ImageInput; `region` may
    be "auto", "full" or "find" too. TypeError for anything else, RequestError for values out of
    their limits, OSError for a path that cannot be read."""
    attributes: dict[str, Any] = {**options, "image": encoded("image", image)}
    if "region" in attributes:
        attributes["region"] = _region(attributes["region"])
    if "references" in attributes:
        attributes["references"] = _references(attributes["references"])
    return EditRequest(instruction=instruction, **attributes).validate()


async def edit_request_beside(
    image: ImageInput, instruction: str, **options: Unpack[EditOptions]
) -> EditRequest:
    """`edit_request` for asyncio: reads and encodes in a thread, so that the event loop is not
    blocked."""
    if (
        isinstance(image, bytes)
        and isinstance(options.get("region", b""), bytes)
        and not options.get("references")
    ):
        return edit_request(image, instruction, **options)
    return await asyncio.to_thread(edit_request, image, instruction, **options)


def encoded(name: str, value: Any) -> bytes:
    """Bytes of an encoded image, or of its base64 text; TypeError names the argument `name`."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, os.PathLike):
        return Path(value).read_bytes()
    if callable(getattr(value, "read", None)):
        return _read(name, value)
    if _is_pil(value):
        return _png(name, value)
    hint = ""
    if isinstance(value, str):
        hint = "; use pathlib.Path(text) for a file's name, or text.encode() for base64 text"
    raise TypeError(f"{name} must be {ALLOWED}, not {type(value).__name__}{hint}")


def _region(value: Any) -> bytes:
    if isinstance(value, str) and value in REGIONS:
        return value.encode()
    if isinstance(value, str):
        raise TypeError(
            f"region must be 'auto', 'full', or a mask as {ALLOWED}; another str is neither"
        )
    return encoded("region", value)


def _references(values: Any) -> tuple[bytes, ...]:
    single = (
        isinstance(values, (str, bytes, bytearray, memoryview, os.PathLike))
        or hasattr(values, "read")
        or _is_pil(values)
    )
    if single or not isinstance(values, Iterable):
        raise TypeError(
            f"references must be a list of images, not {type(values).__name__}; "
            f"each may be {ALLOWED}"
        )
    return tuple(encoded("references", value) for value in values)


def _read(name: str, file: Any) -> bytes:
    content = file.read()
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise TypeError(
            f"{name} is a file that gives {type(content).__name__}, not bytes; open it with 'rb'"
        )
    return bytes(content)


def _is_pil(value: Any) -> bool:
    """Whether `value` is a PIL image, without importing Pillow."""
    return any(
        kind.__module__ == "PIL.Image" and kind.__name__ == "Image" for kind in type(value).__mro__
    )


def _png(name: str, image: Image.Image) -> bytes:
    """A lossless PNG with the colour profile, upright by its EXIF orientation."""
    from PIL import ImageOps

    if image.mode in ("F", "I"):
        raise TypeError(
            f"{name} is a PIL image of mode {image.mode}, which has no stated range; "
            "convert it to RGB or L"
        )
    upright = ImageOps.exif_transpose(image)
    if upright.mode not in PNG_MODES:
        # these modes hold the same colours in another layout, so their profile stays valid
        profile_holds = upright.mode in ("RGBX", "PA", "La", "RGBa")
        alpha = upright.mode in ("PA", "La", "RGBa")
        upright = upright.convert("RGBA" if alpha else "RGB")
        if not profile_holds:
            upright.info.pop("icc_profile", None)
    buffer = io.BytesIO()
    upright.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
