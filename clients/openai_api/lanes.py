"""Lanes by the names of this API's models: `retouch` is whichever serves best, `retouch-bf16` is the lane bf16."""

from __future__ import annotations

from collections.abc import Sequence

from clients.openai_api.errors import ApiError

MODEL = "retouch"


def names(lanes: Sequence[str]) -> list[str]:
    """The models of the lanes that are loaded; none when there are none."""
    return [MODEL, *(f"{MODEL}-{lane}" for lane in lanes)] if lanes else []


def lane_of(model: str, lanes: Sequence[str]) -> str:
    """The lane of a model's name; ApiError 404 when it is not loaded."""
    lane = model.removeprefix(f"{MODEL}-")
    if lane == model or lane not in lanes:
        raise unknown(model, lanes)
    return lane


def unknown(model: str, lanes: Sequence[str]) -> ApiError:
    there = ", ".join(names(lanes)) or "none"
    message = f"The model '{model[:64]}' does not exist or is not loaded; there are {there}."
    return ApiError(404, message, "model_not_found", "model")
