"""The tensors of the model `vl_parser`, one row of a batch at a time."""

from __future__ import annotations

import numpy as np

from retouch.api.response import EditInfo
from retouch.families.denoise_request import Arrays
from retouch.families.instructx.parser import Parsed, ParseInput
from retouch.serving.preprocess import region_of

NO_SENTENCE = np.array([], object)


def parse_input(row: Arrays) -> ParseInput:
    """What the stage reads, of the model's inputs."""
    negative = row.get("NEGATIVE", NO_SENTENCE)
    return ParseInput(
        list(row.get("IMAGE_FILES", ())),
        row["PIXELS"],
        row["INSTRUCTION"][0].decode(),
        negative[0].decode() if len(negative) else None,
    )


def parser_outputs(row: Arrays, info: EditInfo, parsed: Parsed) -> Arrays:
    """The model's outputs, of its inputs and of what the stage made of them. `info` is changed."""
    describe(parsed, info)
    info.cache = parsed.cached
    cells = region_of(row["MASK"], parsed.region)
    return {
        "QUERIES": parsed.queries,
        "BOXES": parsed.boxes.astype(np.float32),
        "CELLS": np.zeros_like(cells) if info.asks_for_nothing else cells,
        "PROMPT_EMBEDS_POOLED": parsed.pooled_prompt_embeds,
        "NEGATIVE_EMBEDS": parsed.negative_embeds,
        "NEGATIVE_EMBEDS_POOLED": parsed.pooled_negative_embeds,
        "INFO": np.array([info.to_json().encode()], object),
    }


def describe(parsed: Parsed, info: EditInfo) -> None:
    """Write into `info` what the parser has understood."""
    info.operations = parsed.operations
    info.hint = parsed.hint
    if parsed.assessment is not None:
        info.understood = parsed.assessment.understood
        info.confidence = round(parsed.assessment.confidence, 4)
        info.reason = parsed.assessment.reason
