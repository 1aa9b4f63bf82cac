"""Server-sent events: partial images, then the result or an error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from starlette.types import Receive, Scope, Send

from clients.openai_api.answers import StreamEvent, completed, ignored_by, partial
from clients.openai_api.errors import ApiError
from clients.openai_api.job import Client, Job
from clients.openai_api.metrics import Metrics
from clients.openai_api.refusing import refusal
from clients.openai_api.timing import server_timing
from retouch.answer import EditAnswer
from retouch.types import RequestError

IGNORED = "Retouch-Ignored"
MEDIA_TYPE = "text/event-stream"
UNBUFFERED = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # also by proxies


class EditStream(StreamingResponse):
    """The events of an edit whose `first` answer is there, and whose others come from `rest`. Who leaves cancels it."""

    def __init__(self, job: Job, first: EditAnswer, rest: AsyncIterator[EditAnswer], client: Client, metrics: Metrics):
        self._job, self._rest, self._client, self._metrics, self._over = job, rest, client, metrics, False
        headers = UNBUFFERED | ignored_header(ignored_by(job, first.info))
        super().__init__(self._events(first), media_type=MEDIA_TYPE, headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._rest):
            await super().__call__(scope, receive, send)
        if not self._over:
            self._metrics.cancelled.inc()

    async def _events(self, first: EditAnswer) -> AsyncIterator[bytes]:
        try:
            index, answer = 0, first
            while not answer.final:
                yield await asyncio.to_thread(_event, partial, self._job, answer, index)
                index, answer = index + 1, await anext(self._rest)
            timing = server_timing(answer.info.milliseconds)
            yield await asyncio.to_thread(_event, completed, self._job, answer, timing)
        except (RequestError, ApiError) as failure:
            self._metrics.stream_errors.inc()
            error = await refusal(failure, self._client)
            yield format_sse_event(data_str=error.body.model_dump_json(), event="error")
        self._over = True


def ignored_header(ignored: Mapping[str, str]) -> dict[str, str]:
    """The names of parameters that had no effect."""
    return {IGNORED: ", ".join(sorted(ignored))} if ignored else {}


def _event(shape: Callable[..., StreamEvent], *parts: Any) -> bytes:
    event = shape(*parts)
    return format_sse_event(data_str=event.model_dump_json(), event=event.type)
