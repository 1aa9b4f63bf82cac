"""HTTP: generate_stream, whose events are the answers."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
from collections.abc import AsyncIterator, Iterator

import aiohttp

from retouch.api.errors import RequestError
from retouch.api.request import EditRequest
from retouch.api.response import EditAnswer
from retouch.api.triton_errors import HTTP_STATUSES, read_error
from retouch.client.codec import answer_of_line, body_of, error_text, lanes_of, models_of
from retouch.client.errors import ended_early, unreachable
from retouch.client.retry import SHORT, Patience

STATISTICS = "/v2/models/stats"  # the repository index is for those who have the server's secret
LINE_BYTES = 64 << 20  # an event is one line, and holds an image as base64 text


class Blocking:
    """Blocking calls to the server at `url`, to its door `model`."""

    def __init__(self, url: str, model: str):
        self._url = url
        self._model = model
        self.keeps = False  # a connection an edit: HTTP has no other way to cancel

    def answers(self, request: EditRequest, patience: Patience) -> Iterator[EditAnswer]:
        """Closing the iterator cancels the edit."""
        with self._called("POST", _edits(self._model), body_of(request), patience) as (
            connection,
            response,
        ):
            if response.status != 200:
                raise _refusal(response.status, response.read())
            while line := self._line(connection, response, patience):
                answer = answer_of_line(line)
                if answer:
                    yield answer
                    if answer.final:
                        return
        raise ended_early()

    def lanes(self) -> tuple[str, ...]:
        with self._called("GET", STATISTICS, None, Patience(SHORT)) as (_, response):
            if response.status != 200:
                raise _refusal(response.status, response.read())
            return lanes_of(models_of(json.loads(response.read())))

    def ready(self) -> bool:
        try:
            with self._called("GET", f"/v2/models/{self._model}/ready", None, Patience(SHORT)) as (
                _,
                response,
            ):
                return response.status == 200
        except RequestError:
            return False

    def close(self) -> None:
        pass

    @contextlib.contextmanager
    def _called(
        self, method: str, path: str, body: str | None, patience: Patience
    ) -> Iterator[tuple]:
        host, _, port = self._url.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=patience.left())
        try:
            connection.request(method, path, body)
            yield connection, connection.getresponse()
        except TimeoutError:
            raise patience.over() from None
        except (OSError, http.client.HTTPException):
            raise unreachable(self._url) from None
        finally:
            connection.close()

    def _line(
        self,
        connection: http.client.HTTPConnection,
        response: http.client.HTTPResponse,
        patience: Patience,
    ) -> bytes:
        if connection.sock:  # given away when the answer says that the connection ends with it
            connection.sock.settimeout(patience.left())
        return response.readline()


class Asynchronous:
    """The same for asyncio; edits share a pool of connections."""

    def __init__(self, url: str, model: str):
        self._url = url
        self._model = model
        self._kept: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # that the session belongs to

    async def answers(self, request: EditRequest, patience: Patience) -> AsyncIterator[EditAnswer]:
        """Closing the iterator cancels the edit, as does cancelling the task that waits for it."""
        async with self._called(
            "POST", _edits(self._model), body_of(request), patience
        ) as response:
            if response.status != 200:
                raise _refusal(response.status, await response.read())
            async for line in response.content:
                answer = answer_of_line(line)
                if answer:
                    yield answer
                    if answer.final:
                        return
        raise ended_early()

    async def lanes(self) -> tuple[str, ...]:
        async with self._called("GET", STATISTICS, None, Patience(SHORT)) as response:
            if response.status != 200:
                raise _refusal(response.status, await response.read())
            return lanes_of(models_of(json.loads(await response.read())))

    async def ready(self) -> bool:
        try:
            async with self._called(
                "GET", f"/v2/models/{self._model}/ready", None, Patience(SHORT)
            ) as response:
                return response.status == 200
        except RequestError:
            return False

    async def close(self) -> None:
        session = self._kept
        self._kept = None
        if session and self._loop is asyncio.get_running_loop():
            await session.close()

    @contextlib.asynccontextmanager
    async def _called(
        self, method: str, path: str, body: str | None, patience: Patience
    ) -> AsyncIterator:
        session = self._session()
        limit = aiohttp.ClientTimeout(total=patience.left())
        try:
            async with session.request(
                method, f"http://{self._url}{path}", data=body, timeout=limit
            ) as response:
                yield response
        except asyncio.TimeoutError:
            raise patience.over() from None
        except aiohttp.ClientError:
            raise unreachable(self._url) from None

    def _session(self) -> aiohttp.ClientSession:
        """Of the running loop: one of a loop that has ended can neither be used nor closed."""
        loop = asyncio.get_running_loop()
        if self._kept is None or self._loop is not loop:
            if self._kept is not None and self._kept.connector is not None:
                # without the loop, so that its sockets do not stay open
                self._kept.connector._close()
            self._kept = aiohttp.ClientSession(read_bufsize=LINE_BYTES)
            self._loop = loop
        return self._kept


def _edits(model: str) -> str:
    return f"/v2/models/{model}/generate_stream"


def _refusal(status: int, body: bytes) -> RequestError:
    return read_error(error_text(body), HTTP_STATUSES.get(status, ""))
