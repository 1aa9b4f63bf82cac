"""gRPC: one stream an edit, kept open for the next one where edits follow each other."""

from __future__ import annotations

import asyncio
import ctypes
import os
import queue
import secrets
import threading
import time
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc as grpc_core
import tritonclient.grpc as grpc
import tritonclient.grpc.aio as grpc_aio

from retouch.api.errors import RequestError
from retouch.api.request import EditRequest
from retouch.api.response import EditAnswer
from retouch.api.triton_errors import is_unreachable, read_error
from retouch.client.channel import aio_client, blocking_client, is_forked, refuse_forked
from retouch.client.codec import answer_of, inputs_of, lanes_of
from retouch.client.errors import ended_early, unreachable
from retouch.client.retry import SHORT, Patience
from retouch.client.shared_memory import Region, Regions
from retouch.util.request_log import REQUEST_ID

ENDING_SECONDS = 1.0  # for a server to close a stream after its last answer


class Blocking:
    """Blocking calls to the server at `url`, to its door `model`."""

    def __init__(self, url: str, model: str, regions: Regions | None = None):
        self._url = url
        self._model = model
        self._regions = regions
        self.keeps = False  # an open stream's threads would keep a process from ending
        self._idle: list[_Stream] = []  # between edits; each carries one edit at a time

    def answers(self, request: EditRequest, patience: Patience) -> Iterator[EditAnswer]:
        """Closing the iterator cancels the edit."""
        refuse_forked()
        region = self._regions and self._regions.take(request)
        over = False
        failed = False
        stream = self._stream()
        try:
            if region and region.new:
                self._hand_over(region, stream.client)
            stream.send(told(self._model, request, region))
            while not over:
                try:
                    result, error = stream.answers.get(timeout=patience.left())
                except queue.Empty:
                    raise patience.over() from None
                failed = error is not None
                if failed:
                    raise _failure(error, self._url, region)
                answer = answer_of(result)
                over = answer.final
                yield answer
        finally:
            if not is_forked():
                self._give_back(stream, region, over, failed)

    def lanes(self) -> tuple[str, ...]:
        with blocking_client(self._url) as client:
            try:
                return lanes_of(_models(client.get_inference_statistics(client_timeout=SHORT)))
            except grpc.InferenceServerException as error:
                raise _failure(error, self._url) from None

    def ready(self) -> bool:
        try:
            with blocking_client(self._url) as client:
                return client.is_model_ready(self._model, client_timeout=SHORT)
        except (grpc.InferenceServerException, RequestError):
            return False

    def close(self) -> None:
        """Streams and shared memory from before a fork are the parent's."""
        if is_forked():
            return
        self.keeps = False
        while self._idle:
            self._idle.pop().close()
        if not self._regions:
            return
        with blocking_client(self._url) as client:
            for name, pause in self._regions.leaving():
                time.sleep(pause)
                with self._regions.forgotten(name):
                    client.unregister_system_shared_memory(
                        name, self._regions.headers, client_timeout=SHORT
                    )

    def _stream(self) -> _Stream:
        """An idle one, or a new one."""
        try:
            return self._idle.pop()
        except IndexError:
            return _Stream(self._url)

    def _give_back(self, stream: _Stream, region: Region | None, over: bool, failed: bool) -> None:
        """After an edit that is `over`, has `failed` or was left."""
        if over and self.keeps:
            self._idle.append(stream)
        else:
            stream.close(cancel=not (over or failed))
        if region:
            self._regions.give(region, over)

    def _hand_over(self, region: Region, client: grpc.InferenceServerClient) -> None:
        try:
            with region.handed_over():
                client.register_system_shared_memory(
                    region.name,
                    region.key,
                    region.size,
                    headers=self._regions.headers,
                    client_timeout=SHORT,
                )
        except grpc.InferenceServerException as error:
            raise _failure(error, self._url, region) from None


class _Stream:
    """One gRPC stream to a server and the answers that have come from it."""

    def __init__(self, url: str):
        self.answers: queue.Queue = queue.Queue()
        self.client = blocking_client(url)
        # without the header triton_grpc_error: with it a cancelled stream crashes tritonserver 2.51
        self.client.start_stream(lambda result, error: self.answers.put((result, error)))
        _OPEN.add(self)

    def send(self, inputs: dict[str, Any]) -> None:
        try:
            self.client.async_stream_infer(**inputs)
        except grpc.InferenceServerException:  # it has ended before, and why is among the answers
            pass

    def close(self, cancel: bool = False) -> None:
        _OPEN.discard(self)
        self.client.stop_stream(cancel_requests=cancel)
        self.client.close()


_OPEN: weakref.WeakSet[_Stream] = weakref.WeakSet()


def _close_open_streams() -> None:
    """Cancel what is still open when the process ends, as where an iterator is kept in a
    variable."""
    for stream in list(_OPEN):
        stream.close(cancel=True)


# tritonclient reads a stream in a thread that is no daemon. Python waits for such threads before
# `atexit`, so only this hook, which concurrent.futures uses as well, comes early enough.
threading._register_atexit(_close_open_streams)


def _leave_streams_to_parent() -> None:
    """Closing a stream in a forked child hangs, and so does its collection: it is never
    collected."""
    for stream in list(_OPEN):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(stream))
    _OPEN.clear()


os.register_at_fork(after_in_child=_leave_streams_to_parent)


class Asynchronous:
    """The same for asyncio; all edits share one connection."""

    def __init__(self, url: str, model: str, regions: Regions | None = None):
        self._url = url
        self._model = model
        self._regions = regions
        self._kept: grpc_aio.InferenceServerClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # that the connection belongs to

    async def answers(self, request: EditRequest, patience: Patience) -> AsyncIterator[EditAnswer]:
        """Closing the iterator cancels the edit, as does cancelling the task that waits for it."""
        refuse_forked()
        region = self._regions and self._regions.take(request)
        stream = None
        over = False
        failed = False
        try:
            if region and region.new:
                await self._hand_over(region)
            item = told(self._model, request, region)
            stream = self._client.stream_infer(_once(item), stream_timeout=patience.left())
            while not over:
                result, error = await anext(stream, (None, ended_early()))
                failed = error is not None
                if failed:
                    raise (
                        error
                        if isinstance(error, RequestError)
                        else _failure(error, self._url, region)
                    )
                answer = answer_of(result)
                over = answer.final
                yield answer
        except grpc_core.RpcError as error:
            if error.code() == grpc_core.StatusCode.DEADLINE_EXCEEDED:
                raise patience.over() from None
            raise _of_call(error.code().name, error.details(), self._url) from None
        finally:
            if not is_forked():
                await self._give_back(stream, region, over, failed)

    async def lanes(self) -> tuple[str, ...]:
        try:
            return lanes_of(
                _models(await self._client.get_inference_statistics(client_timeout=SHORT))
            )
        except grpc.InferenceServerException as error:
            raise _failure(error, self._url) from None

    async def ready(self) -> bool:
        try:
            return await self._client.is_model_ready(self._model, client_timeout=SHORT)
        except (grpc.InferenceServerException, RequestError):
            return False

    async def close(self) -> None:
        """Connection and shared memory from before a fork are the parent's."""
        if is_forked():
            return
        for name, pause in self._regions.leaving() if self._regions else ():
            await asyncio.sleep(pause)
            with self._regions.forgotten(name):
                await self._client.unregister_system_shared_memory(
                    name, self._regions.headers, client_timeout=SHORT
                )
        client = self._kept
        self._kept = None
        if client and self._loop is asyncio.get_running_loop():
            await client.close()

    async def _give_back(
        self, stream: Any, region: Region | None, over: bool, failed: bool
    ) -> None:
        """After an edit that is `over`, has `failed` or was left; `stream` is None where none was
        opened."""
        if stream and (over or failed):
            await _to_its_end(stream)
        elif stream:
            stream.cancel()
        if region:
            self._regions.give(region, over)

    async def _hand_over(self, region: Region) -> None:
        try:
            with region.handed_over():
                await self._client.register_system_shared_memory(
                    region.name,
                    region.key,
                    region.size,
                    headers=self._regions.headers,
                    client_timeout=SHORT,
                )
        except grpc.InferenceServerException as error:
            raise _failure(error, self._url, region) from None

    @property
    def _client(self) -> grpc_aio.InferenceServerClient:
        """Made when it is first used in a loop; one of a loop that has ended cannot be used."""
        loop = asyncio.get_running_loop()
        if self._kept is None or self._loop is not loop:
            self._kept = aio_client(self._url)
            self._loop = loop
        return self._kept


def _models(statistics: Any) -> list[str]:
    """The names of the models that are loaded. The repository index is for those who have the
    server's secret."""
    return [entry.name for entry in statistics.model_stats]


def told(model: str, request: EditRequest, region: Region | None = None) -> dict[str, Any]:
    """What both kinds of stream are given for an edit."""
    inputs = inputs_of(request, grpc, region.placed) if region else inputs_of(request, grpc)
    return {
        "model_name": model,
        "inputs": inputs,
        "request_id": REQUEST_ID.get() or secrets.token_hex(4),
        "priority": request.priority,
        "timeout": request.deadline_ms * 1000 or None,
    }  # microseconds in Triton's queue


async def _once(item: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    yield item


async def _to_its_end(stream: Any) -> None:
    """Read a stream after its last answer until the server closes it. One that is cancelled in that
    moment, as by its collection, may end tritonserver 2.51 (SIGSEGV)."""
    try:
        while await asyncio.wait_for(anext(stream, None), ENDING_SECONDS):
            pass
    except (asyncio.TimeoutError, grpc_core.RpcError):
        stream.cancel()


def _failure(
    error: grpc.InferenceServerException, url: str, region: Region | None = None
) -> RequestError:
    shared = region.failure(error.message(), url) if region else None
    return shared or _of_call(str(error.status() or ""), error.message(), url)


def _of_call(status: str, message: str, url: str) -> RequestError:
    return unreachable(url) if is_unreachable(message, status) else read_error(message, status)
