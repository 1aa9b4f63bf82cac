"""HTTP for asyncio: an edit is one generate_stream request, and its events are the answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import aiohttp

from retouch.api.errors import RequestError
from retouch.api.request import EditRequest
from retouch.api.response import EditAnswer
from retouch.client.codec import (
    DESCRIBE_BODY,
    LANE,
    answer_of_line,
    body_of,
    defaults_of_line,
    lanes_of,
    model_names,
)
from retouch.client.errors import ended_early, unreachable
from retouch.client.http_paths import STATISTICS, edit_path, ready_path, refusal
from retouch.client.retry import SHORT, Timeout

LINE_BYTES = 64 << 20  # an event is one line, and holds an image as base64 text


class AsyncHttpTransport:
    """Calls to the endpoint `model` of the server at `url` (host:port). Edits share a pool of
    connections."""

    def __init__(self, url: str, model: str):
        self._url = url
        self._model = model
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # the event loop of the session

    async def edit(
        self, request: EditRequest, timeout: Timeout
    ) -> AsyncGenerator[EditAnswer, None]:
        """Yield previews and the result. Closing the iterator or cancelling the task cancels the
        edit."""
        async with self._called(
            "POST", edit_path(self._model), body_of(request), timeout
        ) as response:
            if response.status != 200:
                raise refusal(response.status, await response.read())
            async for line in response.content:
                answer = answer_of_line(line)
                if answer:
                    yield answer
                    if answer.final:
                        return
        raise ended_early()

    async def lanes(self) -> tuple[str, ...]:
        async with self._called("GET", STATISTICS, None, Timeout(SHORT)) as response:
            if response.status != 200:
                raise refusal(response.status, await response.read())
            return lanes_of(model_names(json.loads(await response.read())))

    async def defaults(self, lane: str) -> dict[str, Any]:
        path = edit_path(f"{LANE}{lane}")
        async with self._called("POST", path, DESCRIBE_BODY, Timeout(SHORT)) as response:
            if response.status != 200:
                raise refusal(response.status, await response.read())
            async for line in response.content:
                defaults = defaults_of_line(line)
                if defaults is not None:
                    return defaults
        raise ended_early()

    async def ready(self) -> bool:
        try:
            async with self._called(
                "GET", ready_path(self._model), None, Timeout(SHORT)
            ) as response:
                return response.status == 200
        except RequestError:
            return False

    async def close(self) -> None:
        session = self._session
        self._session = None
        if session and self._loop is asyncio.get_running_loop():
            await session.close()

    @contextlib.asynccontextmanager
    async def _called(
        self, method: str, path: str, body: str | None, timeout: Timeout
    ) -> AsyncIterator:
        session = self._open_session()
        limit = aiohttp.ClientTimeout(total=timeout.remaining())
        try:
            async with session.request(
                method, f"http://{self._url}{path}", data=body, timeout=limit
            ) as response:
                yield response
        except asyncio.TimeoutError:
            raise timeout.error() from None
        except aiohttp.ClientError:
            raise unreachable(self._url) from None

    def _open_session(self) -> aiohttp.ClientSession:
        """The session of the running loop. A session cannot be used or closed after its loop has
        ended."""
        loop = asyncio.get_running_loop()
        if self._session is None or self._loop is not loop:
            if self._session is not None and self._session.connector is not None:
                # closes the sockets of a loop that has ended
                self._session.connector._close()
            self._session = aiohttp.ClientSession(read_bufsize=LINE_BYTES)
            self._loop = loop
        return self._session
