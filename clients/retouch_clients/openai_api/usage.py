"""Tokens, as usage counts them here: words and signs of the texts, and squares of the pictures' own
sizes.

The networks' own tokens depend on the checkpoint and on the size it runs at; these on what was sent
and answered alone."""

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
    """`input_tokens` are those of the prompts and of all images sent, masks aside; `output_tokens`
    of the results."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    total_tokens: int


def usage(
    texts: Iterable[str], sent: Iterable[tuple[int, int]], results: Iterable[tuple[int, int]]
) -> Usage:
    """Of texts, and of pictures by their (width, height)."""
    text = sum(len(WORD.findall(each)) for each in texts)
    image = _squares(sent)
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
