"""gRPC for asyncio: an edit has a stream of its own, and all edits share one connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, cast

import grpc as grpc_core
import tritonclient.grpc as grpc
import tritonclient.grpc.aio as grpc_aio

from retouch.api.errors import RequestError
from retouch.api.request import EditRequest
from retouch.api.response import EditAnswer
from retouch.client.channel import aio_client, is_forked, refuse_forked
from retouch.client.codec import answer_of, defaults_of, lanes_of
from retouch.client.errors import ended_early
from retouch.client.grpc_calls import (
    call_failure,
    describe_arguments,
    infer_arguments,
    model_names,
    region_arguments,
    rpc_failure,
)
from retouch.client.retry import SHORT, Timeout
from retouch.client.shared_memory import Region, Regions

ENDING_SECONDS = 1.0  # for a server to close a stream after its last answer


class AsyncGrpcTransport:
    """Calls to the endpoint `model` of the server at `url` (host:port)."""

    def __init__(self, url: str, model: str, regions: Regions | None = None):
        self._url = url
        self._model = model
        self._regions = regions
        self._open_client: grpc_aio.InferenceServerClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # the event loop of the connection

    async def edit(
        self, request: EditRequest, timeout: Timeout
    ) -> AsyncGenerator[EditAnswer, None]:
        """Yield previews and the result. Closing the iterator or cancelling the task cancels the
        edit."""
        refuse_forked()
        region = self._regions and self._regions.take(request)
        stream = None
        is_finished = False
        has_failed = False
        try:
            if self._regions and region and region.new:
                await self._register(region, self._regions)
            arguments = _once(infer_arguments(self._model, request, region))
            # tritonclient has no annotations, and None is inferred
            stream = cast(
                Any, self._client.stream_infer(arguments, stream_timeout=timeout.remaining())
            )
            while not is_finished:
                result, error = await anext(stream, (None, ended_early()))
                has_failed = error is not None
                if isinstance(error, RequestError):
                    raise error
                if error is not None:
                    raise call_failure(error, self._url, region)
                answer = answer_of(result)
                is_finished = answer.final
                yield answer
        except grpc_core.RpcError as error:
            if error.code() == grpc_core.StatusCode.DEADLINE_EXCEEDED:
                raise timeout.error() from None
            raise rpc_failure(error, self._url) from None
        finally:
            if not is_forked():
                await self._release(stream, region, is_finished, has_failed)

    async def lanes(self) -> tuple[str, ...]:
        try:
            statistics = await self._client.get_inference_statistics(client_timeout=SHORT)
            return lanes_of(model_names(statistics))
        except grpc.InferenceServerException as error:
            raise call_failure(error, self._url) from None

    async def defaults(self, lane: str) -> dict[str, Any]:
        stream = cast(
            Any, self._client.stream_infer(_once(describe_arguments(lane)), stream_timeout=SHORT)
        )
        try:
            result, error = await anext(stream, (None, ended_early()))
            if result is None:
                raise error if isinstance(error, RequestError) else call_failure(error, self._url)
            return defaults_of(result.as_numpy("INFO")[0, 0])
        except grpc_core.RpcError as error:
            raise rpc_failure(error, self._url) from None
        finally:
            await _read_to_end(stream)

    async def ready(self) -> bool:
        try:
            return bool(await self._client.is_model_ready(self._model, client_timeout=SHORT))
        except (grpc.InferenceServerException, RequestError):
            return False

    async def close(self) -> None:
        """Close the connection and release shared memory. After a fork both belong to the
        parent."""
        if is_forked():
            return
        if self._regions:
            await self._unregister(self._regions)
        client = self._open_client
        self._open_client = None
        if client and self._loop is asyncio.get_running_loop():
            await client.close()

    async def _release(
        self, stream: Any, region: Region | None, is_finished: bool, has_failed: bool
    ) -> None:
        """End the stream of an edit that is finished, has failed or was abandoned. `stream` is None
        when none was opened."""
        if stream and (is_finished or has_failed):
            await _read_to_end(stream)
        elif stream:
            stream.cancel()
        if self._regions and region:
            self._regions.give_back(region, is_finished)

    async def _unregister(self, regions: Regions) -> None:
        for name, pause in regions.to_unregister():
            await asyncio.sleep(pause)
            with regions.unregistering(name):
                await self._client.unregister_system_shared_memory(
                    name, regions.headers, client_timeout=SHORT
                )

    async def _register(self, region: Region, regions: Regions) -> None:
        try:
            with region.registering():
                await self._client.register_system_shared_memory(
                    **region_arguments(region, regions), client_timeout=SHORT
                )
        except grpc.InferenceServerException as error:
            raise call_failure(error, self._url, region) from None

    @property
    def _client(self) -> grpc_aio.InferenceServerClient:
        """The connection of the running loop. A connection cannot be used after its loop has
        ended."""
        loop = asyncio.get_running_loop()
        if self._open_client is None or self._loop is not loop:
            self._open_client = aio_client(self._url)
            self._loop = loop
        return self._open_client


async def _once(item: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    yield item


async def _read_to_end(stream: Any) -> None:
    """Read a stream after its last answer until the server closes it.

    Cancelling it in that moment, also by collection, may crash tritonserver 2.51 (SIGSEGV)."""
    try:
        while await asyncio.wait_for(anext(stream, None), ENDING_SECONDS):
            pass
    except (asyncio.TimeoutError, grpc_core.RpcError):
        stream.cancel()
