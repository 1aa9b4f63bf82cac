"""Server-sent events: partial images, then the result or an error."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from starlette.types import Receive, Scope, Send

from retouch.api.errors import RequestError
from retouch.api.response import EditAnswer
from retouch_clients.openai_api.edit_job import Client, Job
from retouch_clients.openai_api.errors import ApiError
from retouch_clients.openai_api.failures import refusal
from retouch_clients.openai_api.metrics import Metrics
from retouch_clients.openai_api.responses import (
    Completed,
    PartialImage,
    completed,
    ignored_by,
    partial,
)
from retouch_clients.openai_api.timing import server_timing

IGNORED = "Retouch-Ignored"
MEDIA_TYPE = "text/event-stream"
UNBUFFERED = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # proxies too must not buffer


class EditStream(StreamingResponse):
    """The events of an edit: its `first` answer, then those of `rest`.

    A client that disconnects cancels the edit."""

    def __init__(
        self,
        job: Job,
        first: EditAnswer,
        rest: AsyncGenerator[EditAnswer, None],
        client: Client,
        metrics: Metrics,
        record: Callable[[EditAnswer, int, float], None],
    ):
        self._job = job
        self._rest = rest
        self._client = client
        self._metrics = metrics
        self._record = record
        self._over = False
        headers = UNBUFFERED | ignored_header(ignored_by(job, first.info))
        super().__init__(self._events(first), media_type=MEDIA_TYPE, headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._rest):
            await super().__call__(scope, receive, send)
        if not self._over:
            self._metrics.cancelled.inc()

    async def _events(self, first: EditAnswer) -> AsyncIterator[bytes]:
        try:
            index = 0
            answer = first
            while not answer.final:
                yield await asyncio.to_thread(_event, partial, self._job, answer, index)
                index = index + 1
                answer = await anext(self._rest)
            self._record(answer, 0, time.time())
            timing = server_timing(answer.info.milliseconds)
            yield await asyncio.to_thread(_event, completed, self._job, answer, timing)
        except (RequestError, ApiError) as failure:
            self._metrics.stream_errors.inc()
            error = await refusal(failure, self._client)
            yield format_sse_event(data_str=error.body.model_dump_json(), event="error")
        self._over = True


def ignored_header(ignored: Mapping[str, str]) -> dict[str, str]:
    """The header that names the parameters without effect."""
    return {IGNORED: ", ".join(sorted(ignored))} if ignored else {}


def _event(shape: Callable[..., PartialImage | Completed], *parts: Any) -> bytes:
    event = shape(*parts)
    return format_sse_event(data_str=event.model_dump_json(), event=event.type)
