"""Requests by the OpenAPI document of the OpenAI-compatible server, as schemathesis makes them."""

from __future__ import annotations

import base64

import numpy as np
import schemathesis
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import negative_data_rejection

from pictures import file_of

KEY = "key-of-a-test"
LONGEST_NAME = 40  # of an adapter
FORM = "multipart/form-data"
EDITS = "/v1/images/edits"
HEADERS = {"Authorization": f"Bearer {KEY}"}

# a picture that may stand for a mask too, and for the image that it belongs to
_PIXELS = np.full((16, 16, 4), 120, np.uint8)
_PIXELS[4:9, 4:9] = 0
PICTURES = [file_of(_PIXELS), file_of(_PIXELS, "WEBP", lossless=True, exact=True)]
TEXTS = [
    f"{head}{base64.b64encode(file).decode()}"
    for file in PICTURES
    for head in ("", "data:image/png;base64,")
]

schemathesis.openapi.format("picture", st.sampled_from(TEXTS))
for kind in ("image/png", "image/jpeg", "image/webp"):
    schemathesis.openapi.media_type(kind, st.sampled_from(PICTURES))


def call(case, base_url: str | None = None, excluded=()) -> None:
    """Call, and hold the answer against the document, `excluded` checks aside; what is made to be
    taken agrees with itself before."""
    if isinstance(case.body, dict) and in_time(case):
        case.body = {name: value for name, value in case.body.items() if name != "deadline_ms"}
    # after the deadline is gone: schemathesis looks again whether a changed body fits the schema
    is_edit = isinstance(case.body, dict) and case.path == EDITS
    if is_edit and case.meta.generation.mode is schemathesis.GenerationMode.POSITIVE:
        case.body = agreeing(case.body)
    # a form's values have no types: the text 5 for a number 5 is nothing to reject
    untyped = [negative_data_rejection] if case.media_type == FORM else []
    case.call_and_validate(base_url, headers=HEADERS, excluded_checks=[*untyped, *excluded])


def in_time(case) -> bool:
    """Whether it has a deadline that is allowed, which the machine may miss."""
    deadline = case.body.get("deadline_ms")
    is_number = type(deadline) in (int, float)  # 1.0 is an integer of JSON schema
    return (is_number or case.media_type == FORM and str(deadline).isdigit()) and 0 <= int(
        deadline
    ) < 2**31


def agreeing(body: dict) -> dict:
    """A body without parameters that contradict others, of which a schema does not speak."""
    apart = set()
    streams = body.get("stream") is True
    if body.get("output_format") in (None, "png") and body.get("output_compression", 100) != 100:
        apart.add("output_compression")
    apart |= {"n"} if streams else {"partial_images"}
    if body.get("output_format") == "jpeg":  # which has no transparency
        apart.add("background")
    if body.get("mask") or body.get("target_size"):
        apart.add("region")
    entries = str(body.get("adapter")).split(",")
    names = [entry.partition(":")[0].strip() for entry in entries]
    if len(set(names)) < len(names) or max(map(len, names)) > LONGEST_NAME:
        apart.add("adapter")
    if body.get("image"):
        apart |= {"images", "image[]"}  # they may be too many together
    kept = {name: value for name, value in body.items() if name not in apart}
    kept["on_unknown"] = "warn"  # no prompt of theirs means anything
    return kept | {
        name: pictured(kept[name]) for name in ("image", "images", "mask") if name in kept
    }


def pictured(value):
    """Pictures in JSON that are some: constants that schemathesis finds in the code are none."""
    if isinstance(value, list):
        return [pictured(item) for item in value]
    if isinstance(value, dict):
        return {name: pictured(item) for name, item in value.items()}
    return TEXTS[0] if isinstance(value, str) and value not in TEXTS else value
