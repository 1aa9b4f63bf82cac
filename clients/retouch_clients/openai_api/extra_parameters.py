"""The parameters that Retouch adds to OpenAI's, by the table of request fields."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, create_model
from pydantic import Field as Parameter

from retouch.api.adapters import PATTERN, AdapterScales
from retouch.api.checks import SIZE, AnswerSize, OneOf, Range, Text
from retouch.api.field import Field
from retouch.api.fields import FIELDS

MAX_INTEGER = 2**53 - 1  # beyond it, not every reader of JSON sees the same number
EXTRAS = tuple(field for field in FIELDS if field.is_extra)
Model = TypeVar("Model", bound=BaseModel)


def with_extras(model: type[Model]) -> type[Model]:
    """A subclass of the model with an optional attribute for every parameter of EXTRAS."""
    extras: dict[str, Any] = {field.parameter: _parameter(field) for field in EXTRAS}
    return create_model(f"{model.__name__}WithExtras", __base__=model, **extras)


def _parameter(field: Field) -> tuple[Any, Any]:
    """Type and limits of a field, as pydantic takes them."""
    limits: dict[str, Any] = {}
    kind: Any = Literal[field.check.names] if isinstance(field.check, OneOf) else field.type
    if isinstance(field.check, Range):
        largest = min(field.check.high, MAX_INTEGER) if field.type is int else field.check.high
        limits = {"ge": field.check.low, "le": largest}
    elif isinstance(field.check, Text):
        limits = {"max_length": field.check.characters}
    elif isinstance(field.check, AnswerSize):
        limits = {"pattern": f"^(auto|{SIZE.pattern})$"}
    elif isinstance(field.check, AdapterScales):  # its own sentences say more than a pattern's
        limits = {"json_schema_extra": {"pattern": PATTERN}}
    return kind | None, Parameter(None, description=f"Retouch only. {field.help}", **limits)
