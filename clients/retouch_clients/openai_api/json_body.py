"""Parse a JSON body: limited before it is decoded, unique names, long strings not copied."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import orjson

from retouch_clients.openai_api.errors import invalid
from retouch_clients.openai_api.json_outline import LongText, outline


def fields_of(body: bytes | bytearray, known: Collection[str]) -> dict[str, Any]:
    """The fields of the body. Long strings are LongText views of `body`. ApiError."""
    outlined = outline(body, known)
    try:
        fields = orjson.loads(outlined.text)
        json.loads(outlined.text, object_pairs_hook=_unique)
    except (orjson.JSONDecodeError, ValueError):
        raise invalid("The body is not valid JSON.", None, "invalid_json") from None
    if not isinstance(fields, dict):
        raise invalid("The body must be a JSON object.", None, "invalid_json")
    return {name: _with_long(value, outlined.long) for name, value in fields.items()}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise invalid(f"Invalid '{name[:64]}': it was sent twice.", name[:64])
        fields[name] = value
    return fields


def _with_long(value: Any, long: dict[str, LongText]) -> Any:
    if isinstance(value, str):
        return long.get(value, value)
    if isinstance(value, list):
        return [_with_long(item, long) for item in value]
    if isinstance(value, dict):
        return {name: _with_long(item, long) for name, item in value.items()}
    return value
