"""Tensors of the models: a request from an endpoint's inputs, an endpoint's outputs from an answer,
and the outputs that a call asks of a stage."""

from __future__ import annotations

from typing import Any

import numpy as np

from retouch.api.checks import refuse
from retouch.api.fields import FIELDS
from retouch.api.request import EditRequest, request_from_values
from retouch.api.response import EditAnswer

# outputs that a call asks of a stage; a contract test holds them against the configs
ANSWERS = {
    "vl_parser": [
        "QUERIES",
        "BOXES",
        "CELLS",
        "PROMPT_EMBEDS_POOLED",
        "NEGATIVE_EMBEDS",
        "NEGATIVE_EMBEDS_POOLED",
        "INFO",
    ],
    "connector": ["PROMPT_EMBEDS", "INFO"],
    "vae_encoder": ["LATENTS"],
    "vae_decoder": ["PIXELS"],
    "evaluator": ["INFO"],
    "denoiser": ["LATENTS", "PREVIEW", "STEP", "CELLS", "INFO"],
}


def request_of(row: dict[str, Any]) -> EditRequest:
    """EditRequest of one row of an endpoint's inputs, without the optional ones that are absent;
    RequestError."""
    for field in FIELDS:
        if field.name in row and row[field.name].shape != field.dims:
            refuse(field.name, f"must hold {field.dims[0]} value")
    return request_from_values({name: value[0] for name, value in row.items()})


def tensors_of(answer: EditAnswer) -> dict[str, np.ndarray]:
    """An endpoint's outputs, each with a batch dimension of 1."""
    return {
        "IMAGE": np.array([[answer.image]], object),
        "STEP": np.array([answer.step], np.int32),
        "INFO": np.array([[answer.info.to_json().encode()]], object),
    }


def outputs_of(model: str) -> list[str]:
    """The outputs that a call asks of a stage; all denoisers have the same."""
    return ANSWERS["denoiser" if model.startswith("denoiser_") else model]
