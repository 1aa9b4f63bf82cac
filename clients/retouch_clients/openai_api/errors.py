"""Errors in OpenAI's shape: a status, one sentence, a type, the parameter and a code."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from fastapi.responses import Response
from pydantic import BaseModel, ValidationError

from retouch.api.errors import RequestError
from retouch.api.fields import FIELDS

PAUSE = 1.0  # seconds until a client may retry, if the server does not say
LEFT = 499  # status in the metrics; no client reads the response
PARAMETERS = {field.name: field.parameter for field in FIELDS} | {"MASK": "mask"}
PATTERNS = {  # in words, by parameter
    "prompt": "it is blank; send a sentence",
    "size": "it should be auto, or WIDTHxHEIGHT with sides of 16 to 4096 as 1024x768",
    "target_size": "it should be auto, or WIDTHxHEIGHT as 1024x768",
    "request_id": "it should be 1 to 128 letters, digits, dots, hyphens or underscores",
    "reason": "it has a NUL character",
    "idempotency_key": "it has a NUL character",
}


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class NotUnderstood(ErrorDetail):
    """Of a prompt that is not understood, with prompts that are."""

    examples: list[str]


class ErrorBody(BaseModel):
    """The body of every error, and of the last event of a failed stream."""

    error: NotUnderstood | ErrorDetail


class ApiError(Exception):
    """A rejected request; `response()` is its HTTP response."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        examples: Sequence[str] | None = None,
    ):
        super().__init__(message)
        self.status = status
        self.headers = headers
        kind = (
            "server_error"
            if status >= 500
            else "rate_limit_error"
            if status == 429
            else "invalid_request_error"
        )
        detail = ErrorDetail(message=message, type=kind, param=param, code=code)
        if examples is not None:
            detail = NotUnderstood(**dict(detail), examples=list(examples))
        self.body = ErrorBody(error=detail)

    def response(self) -> Response:
        return Response(self.body.model_dump_json(), self.status, self.headers, "application/json")


class ClientLeft(Exception):
    """The client disconnected before the response."""


def invalid(message: str, param: str | None, code: str = "invalid_value") -> ApiError:
    return ApiError(400, message, code, param)


def unknown_parameter(name: str) -> ApiError:
    return invalid(f"Unknown parameter: '{name[:64]}'.", name[:64], "unknown_parameter")


def overloaded(reason: str, seconds: float = PAUSE) -> ApiError:
    """429 over capacity, before the body is read."""
    return ApiError(
        429, f"{reason}; try again in {seconds:.1f} s", "overloaded", headers=_pause(seconds)
    )


def absent() -> ApiError:
    """503 if tritonserver is absent or not ready."""
    return unavailable("the editing server is not there or not ready; try again later", PAUSE)


def unavailable(message: str, seconds: float) -> ApiError:
    """503 with a time after which the same request may succeed."""
    return ApiError(503, message, "unavailable", headers=_pause(seconds))


def of_failure(failure: RequestError) -> ApiError:
    """An error of an edit in this API's names."""
    message = failure.renamed(PARAMETERS)
    param = PARAMETERS.get(failure.field or "", "").removesuffix("[]") or None
    if failure.code == "INVALID_ARGUMENT":
        return invalid(message, param)
    if failure.code == "INSTRUCTION_NOT_UNDERSTOOD":
        return ApiError(422, message, failure.code.lower(), param, examples=failure.examples)
    if failure.code == "UNAVAILABLE":
        pause = PAUSE if failure.retry_after is None else failure.retry_after
        return ApiError(429, message, "overloaded", headers=_pause(pause))
    if failure.code == "DEADLINE_EXCEEDED":  # again would be as late: OpenAI's clients would try
        return ApiError(504, message, "deadline_exceeded", param, {"x-should-retry": "false"})
    return ApiError(500, message, "internal_error")


def of_validation(error: ValidationError) -> ApiError:
    """The first error of a pydantic model."""
    first = error.errors(include_url=False, include_context=False)[0]
    param = ".".join(map(str, first["loc"]))
    kind = first["type"]
    if kind == "missing":
        return invalid(
            f"Missing required parameter: '{param}'.", param, "missing_required_parameter"
        )
    if kind == "extra_forbidden":
        return unknown_parameter(param)
    reason = first["msg"][0].lower() + first["msg"][1:]
    if kind == "string_pattern_mismatch":
        reason = PATTERNS[param]
    code = "invalid_type" if kind.endswith(("_type", "_parsing")) else "invalid_value"
    return invalid(f"Invalid '{param}': {reason}.", param, code)


def _pause(seconds: float) -> dict[str, str]:
    """Retry-After in seconds, and in milliseconds, which OpenAI's clients read first."""
    return {
        "Retry-After": str(max(1, math.ceil(seconds))),
        "Retry-After-Ms": str(math.ceil(seconds * 1000)),
    }
