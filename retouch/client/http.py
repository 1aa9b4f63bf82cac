"""Blocking HTTP: an edit is one generate_stream request, and its events are the answers."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Generator, Iterator
from typing import Any

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


class HttpTransport:
    """Blocking calls to the endpoint `model` of the server at `url` (host:port)."""

    def __init__(self, url: str, model: str):
        self._url = url
        self._model = model
        self.keep_open = False  # unused: closing the connection is the only way to cancel an edit

    def edit(self, request: EditRequest, timeout: Timeout) -> Generator[EditAnswer, None, None]:
        """Yield previews and the result. Closing the iterator cancels the edit."""
        with self._called("POST", edit_path(self._model), body_of(request), timeout) as (
            connection,
            response,
        ):
            if response.status != 200:
                raise refusal(response.status, response.read())
            while line := _line(connection, response, timeout):
                answer = answer_of_line(line)
                if answer:
                    yield answer
                    if answer.final:
                        return
        raise ended_early()

    def lanes(self) -> tuple[str, ...]:
        with self._called("GET", STATISTICS, None, Timeout(SHORT)) as (_, response):
            if response.status != 200:
                raise refusal(response.status, response.read())
            return lanes_of(model_names(json.loads(response.read())))

    def defaults(self, lane: str) -> dict[str, Any]:
        timeout = Timeout(SHORT)
        path = edit_path(f"{LANE}{lane}")
        with self._called("POST", path, DESCRIBE_BODY, timeout) as (connection, response):
            if response.status != 200:
                raise refusal(response.status, response.read())
            while line := _line(connection, response, timeout):
                defaults = defaults_of_line(line)
                if defaults is not None:
                    return defaults
        raise ended_early()

    def ready(self) -> bool:
        try:
            path = ready_path(self._model)
            with self._called("GET", path, None, Timeout(SHORT)) as (_, response):
                return response.status == 200
        except RequestError:
            return False

    def close(self) -> None:
        """No connection outlives its call."""

    @contextlib.contextmanager
    def _called(
        self, method: str, path: str, body: str | None, timeout: Timeout
    ) -> Iterator[tuple[http.client.HTTPConnection, http.client.HTTPResponse]]:
        host, _, port = self._url.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=timeout.remaining())
        try:
            connection.request(method, path, body)
            yield connection, connection.getresponse()
        except TimeoutError:
            raise timeout.error() from None
        except (OSError, http.client.HTTPException):
            raise unreachable(self._url) from None
        finally:
            connection.close()


def _line(
    connection: http.client.HTTPConnection, response: http.client.HTTPResponse, timeout: Timeout
) -> bytes:
    """The next line of the response; empty at its end."""
    if connection.sock:  # None when the server closes the connection after this response
        connection.sock.settimeout(timeout.remaining())
    return response.readline()
