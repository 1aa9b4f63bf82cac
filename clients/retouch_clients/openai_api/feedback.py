"""POST /v1/feedback: what a person says of an answer, bound to its request id."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from retouch.api.response import EditAnswer
from retouch_clients.feedback import errors as feedback_errors
from retouch_clients.feedback.finished_edit import FinishedEdit
from retouch_clients.feedback.records import MAX_KEY, MAX_REASON, SCORES, Feedback, Thumb
from retouch_clients.openai_api import schema
from retouch_clients.openai_api.api_keys import OWNER
from retouch_clients.openai_api.body import JSON
from retouch_clients.openai_api.edit_job import Job
from retouch_clients.openai_api.errors import ApiError, invalid, of_validation, unavailable
from retouch_clients.openai_api.json_body import fields_of
from retouch_clients.openai_api.json_outline import LongText
from retouch_clients.openai_api.lanes import MODEL
from retouch_clients.openai_api.parameters import MAX_N
from retouch_clients.openai_api.request_id import ALLOWED, request_id_of

MAX_BODY_BYTES = 32 << 10  # a reason may have 12 bytes a character in JSON
RETRY_SECONDS = 2.0
OFF = "This server takes no feedback; start it with --feedback FILE or --feedback postgresql://…"
EITHER: list[Any] = [  # of these two, exactly one has a value
    {"required": ["score"], "properties": {"score": {"type": "number"}}},
    {"required": ["thumb"], "properties": {"thumb": {"type": "string"}}},
]

router = APIRouter(prefix="/v1/feedback")


def _whole(value: Any) -> Any:
    """1.0 is an integer of JSON schema."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class FeedbackRequest(BaseModel):
    """Feedback on one answer: a score or a thumb, and a reason."""

    model_config = ConfigDict(
        extra="forbid", allow_inf_nan=False, strict=True, json_schema_extra={"oneOf": EITHER}
    )

    request_id: str = Field(
        pattern=f"^{ALLOWED.pattern}$", description="The header `x-request-id` of the answer."
    )
    index: Annotated[int, BeforeValidator(_whole)] = Field(
        0, ge=0, lt=MAX_N, description="Which of the request's results, where `n` is above 1."
    )
    score: float | None = Field(None, ge=0, le=1, description="From 0 (bad) to 1 (good).")
    thumb: Thumb | None = Field(
        None, description="Instead of a score: `up` counts as 1, `down` as 0."
    )
    reason: str = Field(
        "", max_length=MAX_REASON, pattern=r"^[^\x00]*$", description="In a few sentences."
    )
    idempotency_key: str = Field(
        "",
        max_length=MAX_KEY,
        pattern=r"^[^\x00]*$",
        description="An answer takes one feedback under one key, the empty one included. "
        "The same feedback again changes nothing.",
    )

    def feedback(self, owner: str) -> Feedback:
        """ApiError unless exactly one of score and thumb has a value."""
        if (self.score is None) == (self.thumb is None):
            raise invalid("Send either 'score' or 'thumb'.", "score")
        score = SCORES[self.thumb] if self.thumb else self.score
        assert score is not None
        return Feedback(
            self.request_id,
            float(score),
            self.thumb,
            self.reason,
            self.index,
            owner,
            self.idempotency_key,
        )


class StoredFeedback(BaseModel):
    """Feedback that is on disk. `repeated`: it was there before this request."""

    id: str
    object: Literal["feedback"] = "feedback"
    created_at: int
    request_id: str
    index: int
    score: float
    repeated: bool


BODY = {
    "required": True,
    "content": {JSON: {"schema": FeedbackRequest.model_json_schema()}},
}
REASONS = {
    400: "Invalid feedback; `param` names the field",
    403: "The Host is not allowed, or another API key has made the answer",
    404: "No such answer, or the server takes no feedback",
    409: "The answer has other feedback under this idempotency key, or too much of it",
    413: "The body is over 32 KiB",
    415: "The body is not JSON",
    503: "The store fails; retry after `Retry-After`",
}


@router.post(
    "",
    summary="Rate an answer",
    openapi_extra={"requestBody": BODY},
    responses=schema.errors(401, 408, 429, 500) | schema.errors(*REASONS, reasons=REASONS),
)
async def give_feedback(request: Request) -> StoredFeedback:
    service = request.app.state.feedback
    if service is None:
        raise ApiError(404, OFF, "feedback_disabled")
    feedback = _parsed(await _read(request)).feedback(request.scope.get(OWNER, ""))
    try:
        receipt = await service.give(feedback)
    except feedback_errors.FeedbackError as failure:
        raise _of_failure(failure) from None
    return StoredFeedback(
        id=receipt.id,
        created_at=int(receipt.given_at),
        request_id=feedback.request_id,
        index=feedback.number,
        score=feedback.score,
        repeated=receipt.repeated,
    )


def record(request: Request, job: Job, answer: EditAnswer, number: int, at: float) -> None:
    """Note a result, so that feedback on it can be taken. Returns at once."""
    service = request.app.state.feedback
    if service is not None:
        service.record(
            FinishedEdit(
                request_id_of(request.scope),
                job.request.image,
                answer.image,
                answer.info,
                at,
                request.scope.get(OWNER, ""),
                job.request.parameters.model or MODEL,
                number,
            )
        )


async def _read(request: Request) -> bytes:
    """The body. ApiError 413 as soon as it is too large, which a header may say."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise ApiError(
            415,
            f"Unsupported content type: '{kind[:64]}'. Send {JSON}.",
            "unsupported_content_type",
        )
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > MAX_BODY_BYTES:
        raise _too_large()
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise _too_large()
    return bytes(body)


def _parsed(body: bytes) -> FeedbackRequest:
    values = fields_of(body, FeedbackRequest.model_fields)
    try:
        return FeedbackRequest(**{name: _text(value) for name, value in values.items()})
    except ValidationError as failure:
        raise of_validation(failure) from None


def _text(value: Any) -> Any:
    """A reason that is set aside as a long string."""
    if not isinstance(value, LongText):
        return value
    try:
        return orjson.loads(b'"%b"' % bytes(value.raw))
    except orjson.JSONDecodeError:
        raise invalid("The body is not valid JSON.", None, "invalid_json") from None


def _of_failure(failure: feedback_errors.FeedbackError) -> ApiError:
    message = f"{str(failure)[:1].upper()}{str(failure)[1:]}."
    if isinstance(failure, feedback_errors.UnknownAnswer):
        return ApiError(404, message, "answer_not_found", "request_id")
    if isinstance(failure, feedback_errors.ForeignAnswer):
        return ApiError(403, message, "not_your_answer", "request_id")
    if isinstance(failure, feedback_errors.OtherFeedback):
        advice = " Send another idempotency_key to add to it."
        return ApiError(409, message + advice, "feedback_exists", "idempotency_key")
    if isinstance(failure, feedback_errors.TooMuchFeedback):
        return ApiError(409, message, "too_much_feedback", "request_id")
    return unavailable(message, RETRY_SECONDS)


def _too_large() -> ApiError:
    message = f"The body is too large; at most {MAX_BODY_BYTES} bytes are allowed."
    return ApiError(413, message, "request_too_large", headers={"Connection": "close"})
