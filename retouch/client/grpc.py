"""Blocking gRPC: an edit has a stream of its own, which may stay open for the next edit."""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import threading
import time
import weakref
from collections.abc import Generator
from typing import Any

import tritonclient.grpc as grpc

from retouch.api.errors import RequestError
from retouch.api.request import EditRequest
from retouch.api.response import EditAnswer
from retouch.client.channel import blocking_client, is_forked, refuse_forked
from retouch.client.codec import answer_of, defaults_of, lanes_of
from retouch.client.grpc_calls import (
    call_failure,
    describe_arguments,
    infer_arguments,
    model_names,
    region_arguments,
)
from retouch.client.retry import SHORT, Timeout
from retouch.client.shared_memory import Region, Regions


class GrpcTransport:
    """Blocking calls to the endpoint `model` of the server at `url` (host:port)."""

    def __init__(self, url: str, model: str, regions: Regions | None = None):
        self.keep_open = False  # the threads of an open stream keep a process from ending
        self._url = url
        self._model = model
        self._regions = regions
        self._idle: list[_Stream] = []  # open streams between edits; each serves one edit at a time

    def edit(self, request: EditRequest, timeout: Timeout) -> Generator[EditAnswer, None, None]:
        """Yield previews and the result. Closing the iterator cancels the edit."""
        refuse_forked()
        region = self._regions and self._regions.take(request)
        is_finished = False
        has_failed = False
        stream = self._stream()
        try:
            if self._regions and region and region.new:
                self._register(region, self._regions, stream.client)
            stream.send(infer_arguments(self._model, request, region))
            while not is_finished:
                try:
                    result, error = stream.results.get(timeout=timeout.remaining())
                except queue.Empty:
                    raise timeout.error() from None
                has_failed = error is not None
                if has_failed:
                    raise call_failure(error, self._url, region)
                answer = answer_of(result)
                is_finished = answer.final
                yield answer
        finally:
            if not is_forked():
                self._release(stream, region, is_finished, has_failed)

    def lanes(self) -> tuple[str, ...]:
        with blocking_client(self._url) as client:
            try:
                return lanes_of(model_names(client.get_inference_statistics(client_timeout=SHORT)))
            except grpc.InferenceServerException as error:
                raise call_failure(error, self._url) from None

    def defaults(self, lane: str) -> dict[str, Any]:
        timeout = Timeout(SHORT)
        stream = _Stream(self._url)
        try:
            stream.send(describe_arguments(lane))
            result, error = stream.results.get(timeout=timeout.remaining())
            if error is not None:
                raise call_failure(error, self._url)
            return defaults_of(result.as_numpy("INFO")[0, 0])
        except queue.Empty:
            raise timeout.error() from None
        finally:
            stream.close(cancel=False)

    def ready(self) -> bool:
        try:
            with blocking_client(self._url) as client:
                return bool(client.is_model_ready(self._model, client_timeout=SHORT))
        except (grpc.InferenceServerException, RequestError):
            return False

    def close(self) -> None:
        """Close idle streams and release shared memory. After a fork both belong to the parent."""
        if is_forked():
            return
        self.keep_open = False
        while self._idle:
            self._idle.pop().close()
        if not self._regions:
            return
        with blocking_client(self._url) as client:
            for name, pause in self._regions.to_unregister():
                time.sleep(pause)
                with self._regions.unregistering(name):
                    client.unregister_system_shared_memory(
                        name, self._regions.headers, client_timeout=SHORT
                    )

    def _stream(self) -> _Stream:
        """An idle stream, or a new one."""
        try:
            return self._idle.pop()
        except IndexError:
            return _Stream(self._url)

    def _release(
        self, stream: _Stream, region: Region | None, is_finished: bool, has_failed: bool
    ) -> None:
        """Keep or close the stream of an edit that is finished, has failed or was abandoned."""
        if is_finished and self.keep_open:
            self._idle.append(stream)
        else:
            stream.close(cancel=not (is_finished or has_failed))
        if self._regions and region:
            self._regions.give_back(region, is_finished)

    def _register(
        self, region: Region, regions: Regions, client: grpc.InferenceServerClient
    ) -> None:
        try:
            with region.registering():
                client.register_system_shared_memory(
                    **region_arguments(region, regions), client_timeout=SHORT
                )
        except grpc.InferenceServerException as error:
            raise call_failure(error, self._url, region) from None


class _Stream:
    """One open gRPC stream to a server, and the results that have come from it."""

    def __init__(self, url: str):
        self.results: queue.Queue = queue.Queue()
        self.client = blocking_client(url)
        # without the header triton_grpc_error: with it a cancelled stream crashes tritonserver 2.51
        self.client.start_stream(lambda result, error: self.results.put((result, error)))
        _OPEN.add(self)

    def send(self, arguments: dict[str, Any]) -> None:
        # a stream that has ended raises; `results` holds its error
        with contextlib.suppress(grpc.InferenceServerException):
            self.client.async_stream_infer(**arguments)

    def close(self, cancel: bool = False) -> None:
        _OPEN.discard(self)
        self.client.stop_stream(cancel_requests=cancel)
        self.client.close()


_OPEN: weakref.WeakSet[_Stream] = weakref.WeakSet()


def _close_open_streams() -> None:
    """Cancel open streams when the process ends, such as that of an iterator in a variable."""
    for stream in list(_OPEN):
        stream.close(cancel=True)


# tritonclient reads a stream in a thread that is no daemon. Python waits for such threads before
# `atexit`, so only this hook, which concurrent.futures uses as well, comes early enough.
threading._register_atexit(_close_open_streams)  # pyright: ignore[reportAttributeAccessIssue]


def _leave_streams_to_parent() -> None:
    """Keep streams from being collected in a forked child, where closing one hangs."""
    for stream in list(_OPEN):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(stream))
    _OPEN.clear()


os.register_at_fork(after_in_child=_leave_streams_to_parent)
