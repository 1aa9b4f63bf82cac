"""Model names of this API: `retouch` and its aliases let the server choose a lane.

`retouch-bf16` is the lane bf16."""

from __future__ import annotations

from collections.abc import Sequence

from retouch_clients.openai_api.errors import ApiError

MODEL = "retouch"
# names that clients send by default
ALIASES = (
    "gpt-image-1",
    "gpt-image-1.5",
    "gpt-image-1-mini",
    "gpt-image-2",
    "chatgpt-image-latest",
    "dall-e-2",
)


def names(lanes: Sequence[str], aliases: Sequence[str] = ALIASES) -> list[str]:
    """The model names of the loaded lanes, and the aliases; empty without lanes."""
    return [MODEL, *(f"{MODEL}-{lane}" for lane in lanes), *aliases] if lanes else []


def is_default(model: str | None, aliases: Sequence[str] = ALIASES) -> bool:
    """Whether the server chooses the lane for this model name."""
    return not model or model == MODEL or model in aliases


def lane_of(model: str, lanes: Sequence[str], aliases: Sequence[str] = ALIASES) -> str:
    """The lane of a model name; ApiError 404 if it is not loaded."""
    lane = model.removeprefix(f"{MODEL}-")
    if lane == model or lane not in lanes:
        raise unknown(model, lanes, aliases)
    return lane


def unknown(model: str, lanes: Sequence[str], aliases: Sequence[str] = ALIASES) -> ApiError:
    available = ", ".join(names(lanes, aliases)) or "none"
    message = f"The model '{model[:64]}' does not exist or is not loaded; available: {available}."
    return ApiError(404, message, "model_not_found", "model")
