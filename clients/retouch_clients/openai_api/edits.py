"""POST /v1/images/edits, and errors for OpenAI's routes that are not supported."""

from __future__ import annotations

import asyncio
import time
from functools import partial

from fastapi import APIRouter, Request
from fastapi.responses import Response

from retouch.api.response import EditAnswer
from retouch_clients.openai_api import responses, schema
from retouch_clients.openai_api.body import read
from retouch_clients.openai_api.disconnect import unless_disconnected
from retouch_clients.openai_api.edit_job import Client, Job, plan
from retouch_clients.openai_api.errors import ApiError
from retouch_clients.openai_api.events import EditStream, ignored_header
from retouch_clients.openai_api.feedback import record
from retouch_clients.openai_api.limits import ON_END
from retouch_clients.openai_api.metrics import Metrics
from retouch_clients.openai_api.timing import HEADER, server_timing, slowest

router = APIRouter(prefix="/v1/images")


@router.post(
    "/edits",
    summary="Edit an image by an instruction",
    openapi_extra={"requestBody": schema.BODY},
    response_model=responses.ImagesResponse,
    responses=schema.EDITED,
)
async def edits(request: Request) -> Response:
    state = request.app.state
    client = state.client
    metrics = state.metrics
    request.scope[ON_END].enter_context(state.load.entered())  # before the body is read
    job = await plan(await read(request, state.lenient), client, state.aliases)
    if job.request.parameters.stream:
        return await _streamed(request, job, client, metrics)
    results = await unless_disconnected(request, job.results(client))
    now = time.time()
    for number, result in enumerate(results):
        record(request, job, result, number, now)
    timing = server_timing(slowest(result.info for result in results))
    body = await asyncio.to_thread(_response_text, job, results)
    ignored = responses.ignored_by(job, results[0].info)
    return Response(
        body, media_type="application/json", headers={HEADER: timing} | ignored_header(ignored)
    )


def _response_text(job: Job, results: list[EditAnswer]) -> str:
    return responses.response(job, results).model_dump_json()


async def _streamed(request: Request, job: Job, client: Client, metrics: Metrics) -> EditStream:
    """Stream the answers. Errors before the first answer get an HTTP status of their own."""
    rest = job.answers(client, job.seed())
    try:
        first = await unless_disconnected(request, anext(rest))
    except BaseException:
        await rest.aclose()
        raise
    return EditStream(job, first, rest, client, metrics, partial(record, request, job))


@router.api_route("/generations", methods=["GET", "POST"], include_in_schema=False)
@router.api_route("/variations", methods=["GET", "POST"], include_in_schema=False)
async def unsupported() -> Response:
    raise ApiError(
        404,
        "This server edits images and does not generate them: send an image and a prompt to "
        "POST /v1/images/edits.",
        "unknown_url",
    )
