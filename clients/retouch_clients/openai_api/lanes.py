"""Lanes by the names of this API's models: `retouch` and its aliases are the lane that serves best,
`retouch-bf16` is the lane bf16."""

from __future__ import annotations

from collections.abc import Sequence

from retouch_clients.openai_api.errors import ApiError

MODEL = "retouch"
# what clients ask for where nobody has told them a model
ALIASES = (
    "gpt-image-1",
    "gpt-image-1.5",
    "gpt-image-1-mini",
    "gpt-image-2",
    "chatgpt-image-latest",
    "dall-e-2",
)


def names(lanes: Sequence[str], aliases: Sequence[str] = ALIASES) -> list[str]:
    """The models of the lanes that are loaded and the aliases; none when there are no lanes."""
    return [MODEL, *(f"{MODEL}-{lane}" for lane in lanes), *aliases] if lanes else []


def is_default(model: str | None, aliases: Sequence[str] = ALIASES) -> bool:
    """Whether the name leaves the choice of the lane to the server."""
    return not model or model == MODEL or model in aliases


def lane_of(model: str, lanes: Sequence[str], aliases: Sequence[str] = ALIASES) -> str:
    """The lane of a model's name; ApiError 404 when it is not loaded."""
    lane = model.removeprefix(f"{MODEL}-")
    if lane == model or lane not in lanes:
        raise unknown(model, lanes, aliases)
    return lane


def unknown(model: str, lanes: Sequence[str], aliases: Sequence[str] = ALIASES) -> ApiError:
    there = ", ".join(names(lanes, aliases)) or "none"
    message = f"The model '{model[:64]}' does not exist or is not loaded; there are {there}."
    return ApiError(404, message, "model_not_found", "model")
