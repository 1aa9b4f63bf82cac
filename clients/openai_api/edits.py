"""POST /v1/images/edits, and what there is not beside it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from clients.openai_api import answers, schema
from clients.openai_api.body import read
from clients.openai_api.errors import ApiError
from clients.openai_api.events import EditStream
from clients.openai_api.job import Client, Job, plan
from clients.openai_api.leaving import unless_left
from clients.openai_api.metrics import Metrics
from clients.openai_api.timing import HEADER, server_timing, slowest

router = APIRouter(prefix="/v1/images")


@router.post("/edits", summary="Edit an image by a sentence", openapi_extra={"requestBody": schema.BODY},
             response_model=answers.ImagesResponse, responses=schema.EDITED)
async def edits(request: Request) -> Response:
    client, metrics = request.app.state.client, request.app.state.metrics
    job = await plan(await read(request), client)
    if job.order.parameters.stream:
        return await _streamed(request, job, client, metrics)
    results = await unless_left(request, job.results(client))
    timing = server_timing(slowest(each.info for each in results))
    body = answers.response(job, results).model_dump_json()
    return Response(body, media_type="application/json", headers={HEADER: timing})


async def _streamed(request: Request, job: Job, client: Client, metrics: Metrics) -> EditStream:
    """What is refused before the first answer has a status of its own: the stream begins with that answer."""
    rest = job.answers(client, job.seed())
    try:
        first = await unless_left(request, anext(rest))
    except BaseException:
        await rest.aclose()
        raise
    return EditStream(job, first, rest, client, metrics)


@router.api_route("/generations", methods=["GET", "POST"], include_in_schema=False)
@router.api_route("/variations", methods=["GET", "POST"], include_in_schema=False)
async def elsewhere() -> Response:
    raise ApiError(404, "This server edits images and makes none from nothing: send an image and a prompt to "
                   "POST /v1/images/edits.", "unknown_url")
