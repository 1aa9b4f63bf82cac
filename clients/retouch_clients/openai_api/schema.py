"""Parts of the OpenAPI document that FastAPI cannot derive: request bodies, events, errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retouch.api.limits import MAX_REFERENCES
from retouch_clients.openai_api.body import FORM, JSON
from retouch_clients.openai_api.errors import ErrorBody
from retouch_clients.openai_api.parameters import Parameters
from retouch_clients.openai_api.pictures import PICTURE, PICTURES
from retouch_clients.openai_api.responses import Completed, PartialImage

REASONS = {
    400: "Invalid request; `param` names the parameter",
    401: "Missing or incorrect API key",
    403: "The Host is not allowed; `--allowed-host` adds names",
    404: "Unknown model",
    408: "The body arrived too slowly",
    413: "The body is too large",
    415: "The body is neither multipart nor JSON",
    422: "The prompt is not understood; `examples` are prompts that are",
    429: "Server at capacity; retry after `Retry-After`",
    500: "Internal error",
    503: "No editing server; retry after `Retry-After`",
    504: "The deadline has passed or cannot be met",
}


def errors(*statuses: int, reasons: Mapping[int, str] = REASONS) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorBody, "description": reasons[status]} for status in statuses}


def _with(pictures: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    return parameters | {"properties": pictures | parameters["properties"]}


def _plain(field: dict[str, Any]) -> dict[str, Any]:
    """The schema of a form field, which cannot be null."""
    types = field.get("anyOf", [field])
    (kind,) = (schema for schema in types if schema.get("type") != "null")
    return {name: value for name, value in field.items() if name not in ("anyOf", "default")} | kind


_PARAMETERS = Parameters.model_json_schema()
_FORM_PARAMETERS = _PARAMETERS | {
    "properties": {name: _plain(field) for name, field in _PARAMETERS["properties"].items()}
}
_FILE = {"type": "string", "format": "binary"}
_FILES = {"type": "array", "items": _FILE, "minItems": 1, "maxItems": 1 + MAX_REFERENCES}
_EITHER = [{"required": [name]} for name in ("image", "image[]")]

BODY = {
    "required": True,
    "content": {
        FORM: {
            "schema": _with(
                {
                    "image": _FILE
                    | {
                        "description": "PNG, JPEG or WebP. The first is edited, "
                        "further ones are references."
                    },
                    "image[]": _FILES | {"description": "The same for several images."},
                    "mask": _FILE
                    | {
                        "description": "An image of the same size, transparent where it may change."
                    },
                },
                _FORM_PARAMETERS,
            )
            | {"anyOf": _EITHER},
            "encoding": {
                name: {"contentType": "image/png, image/jpeg, image/webp"}
                for name in ("image", "image[]", "mask")
            },
        },
        JSON: {
            "schema": _with(
                {
                    "image": {
                        "anyOf": [PICTURE, PICTURES],
                        "description": "The first is edited, further ones are references.",
                    },
                    "images": {"anyOf": [PICTURE, PICTURES], "description": "The same."},
                    "mask": {
                        "anyOf": [PICTURE, {"type": "null"}],
                        "description": "Transparent where the image may change.",
                    },
                },
                _PARAMETERS,
            )
            | {"anyOf": [{"required": [name]} for name in ("image", "images")]}
        },
    },
}

EVENTS = {
    "image_edit.partial_image": PartialImage,
    "image_edit.completed": Completed,
    "error": ErrorBody,
}
_STREAM = {
    "itemSchema": {  # as OpenAPI 3.2 and FastAPI describe events
        "type": "object",
        "required": ["event", "data"],
        "description": "Partial images, then the result or an error.",
        "oneOf": [
            {
                "properties": {
                    "event": {"const": name},
                    "data": {
                        "type": "string",
                        "contentMediaType": "application/json",
                        "contentSchema": {"$ref": f"#/components/schemas/{event.__name__}"},
                    },
                }
            }
            for name, event in EVENTS.items()
        ],
    }
}

EDITED = errors(*REASONS) | {
    200: {
        "description": "The results, or their events with `stream`",
        "content": {"text/event-stream": _STREAM},
        "headers": {
            "Server-Timing": {
                "description": "Milliseconds by stage. A stream has them in its last event.",
                "schema": {"type": "string"},
            }
        },
    }
}
