"""Tensors between the models and what they mean: a request from a door's inputs, the outputs of its
answer, and those that it asks of a stage."""

from __future__ import annotations

from typing import Any

import numpy as np

from retouch.api.errors import RequestError
from retouch.api.request import INPUTS, EditRequest, request_from_values
from retouch.api.response import EditAnswer

# what a call between models asks back; a contract test holds it against the configs
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
    "connector": ["PROMPT_EMBEDS"],
    "vae_encoder": ["LATENTS"],
    "vae_decoder": ["PIXELS"],
    "denoiser": ["LATENTS", "PREVIEW", "STEP", "INFO"],
}


def request_of(row: dict[str, Any]) -> EditRequest:
    """EditRequest of one row of a door's inputs, of which optional ones may be absent;
    RequestError."""
    for tensor in INPUTS:
        if tensor.name in row and row[tensor.name].shape != tensor.dims:
            raise RequestError(f"{tensor.name} must hold {tensor.dims[0]} value", field=tensor.name)
    return request_from_values({name: value[0] for name, value in row.items()})


def tensors_of(answer: EditAnswer) -> dict[str, np.ndarray]:
    """A door's outputs."""
    return {
        "IMAGE": np.array([[answer.image]], object),
        "STEP": np.array([answer.step], np.int32),
        "INFO": np.array([[answer.info.to_json().encode()]], object),
    }


def outputs_of(model: str) -> list[str]:
    """The outputs that a call asks of a stage, which every lane's denoiser has alike."""
    return ANSWERS["denoiser" if model.startswith("denoiser_") else model]
