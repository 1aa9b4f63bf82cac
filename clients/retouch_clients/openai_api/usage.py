"""Token counts for `usage`: words and signs of texts, and 16 × 16 pixel squares of images.

They depend only on the request and the results, unlike the networks' own tokens."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pydantic import BaseModel

SIDE = 16  # pixels of a square
WORD = re.compile(r"\w+|[^\w\s]")


class InputTokensDetails(BaseModel):
    image_tokens: int
    text_tokens: int


class Usage(BaseModel):
    """Tokens of the prompts and input images (without masks), and of the results."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    total_tokens: int


def usage(
    texts: Iterable[str], inputs: Iterable[tuple[int, int]], results: Iterable[tuple[int, int]]
) -> Usage:
    """The usage of texts, and of images by their (width, height)."""
    text = sum(len(WORD.findall(prompt)) for prompt in texts)
    image = _squares(inputs)
    output = _squares(results)
    details = InputTokensDetails(image_tokens=image, text_tokens=text)
    return Usage(
        input_tokens=image + text,
        input_tokens_details=details,
        output_tokens=output,
        total_tokens=image + text + output,
    )


def _squares(sizes: Iterable[tuple[int, int]]) -> int:
    return sum(-(-width // SIDE) * -(-height // SIDE) for width, height in sizes)
