"""Response bodies in OpenAI's shapes, with the edit's INFO in the field `retouch`."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any, Literal

from pydantic import BaseModel, Field

from retouch.api.lanes import precision_of
from retouch.api.response import EditAnswer, EditInfo
from retouch.util.request_log import REQUEST_ID
from retouch_clients.openai_api import base64_text
from retouch_clients.openai_api.edit_job import Job
from retouch_clients.openai_api.pictures import background_of, size_of
from retouch_clients.openai_api.usage import Usage

# reported for a lane if the request has no quality
QUALITIES = {"bf16": "high", "fp8": "medium", "fp4": "low"}

OutputFormat = Literal["png", "webp", "jpeg"]
Background = Literal["opaque", "transparent"]
Quality = Literal["low", "medium", "high"]
Info = dict[str, Any]


class Picture(BaseModel):
    b64_json: str
    retouch: Info = Field(
        description="Seed, lane and its reason, steps, operations, whether the prompt was "
        "understood, region, drift, detail, milliseconds."
    )


class ImagesResponse(BaseModel):
    created: int
    background: Background
    data: list[Picture]
    output_format: OutputFormat
    quality: Quality
    size: str
    usage: Usage
    safety_identifier: str | None = None


class StreamEvent(BaseModel):
    b64_json: str
    background: Background
    created_at: int
    output_format: OutputFormat
    quality: Quality
    size: str


class PartialImage(StreamEvent):
    type: Literal["image_edit.partial_image"] = "image_edit.partial_image"
    partial_image_index: int


class Completed(StreamEvent):
    type: Literal["image_edit.completed"] = "image_edit.completed"
    usage: Usage
    retouch: Info = Field(
        description="As in a response without stream, with the header as `server_timing`."
    )
    safety_identifier: str | None = None


def response(job: Job, results: list[EditAnswer]) -> ImagesResponse:
    data = [
        Picture(b64_json=_text(result), retouch=edit_info(job, result.info)) for result in results
    ]
    return ImagesResponse(
        created=int(time.time()),
        data=data,
        usage=job.usage(results),
        safety_identifier=job.request.parameters.told_back,
        **_output_fields(job, results[0]),
    )


def partial(job: Job, answer: EditAnswer, index: int) -> PartialImage:
    return PartialImage(
        b64_json=_text(answer),
        created_at=int(time.time()),
        partial_image_index=index,
        **_output_fields(job, answer),
    )


def completed(job: Job, answer: EditAnswer, timing: str) -> Completed:
    return Completed(
        b64_json=_text(answer),
        created_at=int(time.time()),
        usage=job.usage([answer]),
        retouch=edit_info(job, answer.info) | {"server_timing": timing},
        safety_identifier=job.request.parameters.told_back,
        **_output_fields(job, answer),
    )


def edit_info(job: Job, info: EditInfo) -> Info:
    """INFO without `kind`, with the response's request id and the ignored parameters."""
    values = {name: value for name, value in asdict(info).items() if name != "kind"}
    values["request_id"] = REQUEST_ID.get()
    ignored = ignored_by(job, info)
    return values | {"ignored": ignored} if ignored else values


def ignored_by(job: Job, info: EditInfo) -> dict[str, str]:
    """The parameters without effect on the result, with reasons."""
    parameters = job.request.parameters
    if parameters.extras().get("guidance") and not info.guidance:
        return parameters.ignored | {"guidance": "this checkpoint does not use it"}
    return parameters.ignored


def _output_fields(job: Job, answer: EditAnswer) -> dict[str, Any]:
    width, height = size_of(answer.image)
    quality = job.quality if job.quality != "auto" else QUALITIES[precision_of(answer.info.lane)]
    return {
        "background": background_of(answer.image),
        "output_format": job.format.name,
        "quality": quality,
        "size": f"{width}x{height}",
    }


def _text(answer: EditAnswer) -> str:
    return base64_text.encode(answer.image)
