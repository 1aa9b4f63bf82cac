"""What is answered: OpenAI's shapes, and beside each result what Retouch knows of it
(`retouch`)."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any, Literal

from pydantic import BaseModel, Field

from retouch.api.lanes import precision_of
from retouch.api.response import EditAnswer, EditInfo
from retouch_clients.openai_api import base64_text
from retouch_clients.openai_api.edit_job import Job
from retouch_clients.openai_api.pictures import size_of
from retouch_clients.openai_api.usage import Usage

QUALITIES = {
    "bf16": "high",
    "fp8": "medium",
    "fp4": "low",
}  # what a lane is, where no quality was asked for

OutputFormat = Literal["png", "webp", "jpeg"]
Quality = Literal["low", "medium", "high"]
Told = dict[str, Any]


class Picture(BaseModel):
    b64_json: str
    retouch: Told = Field(
        description="Seed, lane and why, steps, operations, region, milliseconds by stage."
    )


class ImagesResponse(BaseModel):
    created: int
    background: Literal["opaque"] = "opaque"
    data: list[Picture]
    output_format: OutputFormat
    quality: Quality
    size: str
    usage: Usage
    safety_identifier: str | None = None


class StreamEvent(BaseModel):
    b64_json: str
    background: Literal["opaque"] = "opaque"
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
    retouch: Told = Field(
        description="As in an answer without a stream, with `server_timing` as its header."
    )
    safety_identifier: str | None = None


def response(job: Job, results: list[EditAnswer]) -> ImagesResponse:
    data = [Picture(b64_json=_text(each), retouch=told(job, each.info)) for each in results]
    return ImagesResponse(
        created=int(time.time()),
        data=data,
        usage=job.usage(results),
        safety_identifier=job.order.parameters.told_back,
        **_seen(job, results[0]),
    )


def partial(job: Job, answer: EditAnswer, index: int) -> PartialImage:
    return PartialImage(
        b64_json=_text(answer),
        created_at=int(time.time()),
        partial_image_index=index,
        **_seen(job, answer),
    )


def completed(job: Job, answer: EditAnswer, timing: str) -> Completed:
    return Completed(
        b64_json=_text(answer),
        created_at=int(time.time()),
        usage=job.usage([answer]),
        retouch=told(job, answer.info) | {"server_timing": timing},
        safety_identifier=job.order.parameters.told_back,
        **_seen(job, answer),
    )


def told(job: Job, info: EditInfo) -> Told:
    values = {name: value for name, value in asdict(info).items() if name != "kind"}
    ignored = ignored_by(job, info)
    return values | {"ignored": ignored} if ignored else values


def ignored_by(job: Job, info: EditInfo) -> dict[str, str]:
    """The parameters that the result owes nothing to, and why."""
    parameters = job.order.parameters
    without_use = (
        {"guidance": "this checkpoint has no use for it"}
        if parameters.extras().get("guidance") and not info.guidance
        else {}
    )
    return parameters.ignored | without_use


def _seen(job: Job, answer: EditAnswer) -> dict[str, str]:
    width, height = size_of(answer.image)
    quality = job.quality if job.quality != "auto" else QUALITIES[precision_of(answer.info.lane)]
    return {"output_format": job.format.name, "quality": quality, "size": f"{width}x{height}"}


def _text(answer: EditAnswer) -> str:
    return base64_text.encode(answer.image)
