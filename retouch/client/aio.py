"""The client for asyncio."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from retouch.api.errors import RequestError
from retouch.api.request import EditOptions, ImageInput
from retouch.api.response import EditAnswer
from retouch.client.base import Client
from retouch.client.errors import in_queue
from retouch.client.files import edit_request_beside
from retouch.client.retry import Attempts
from retouch.client.transport import AsyncTransport

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from retouch.client.shared_memory import Regions


class AsyncRetouch(Client[AsyncTransport]):
    """`Retouch` for asyncio, with the same arguments and errors. Any number of edits may run at
    once."""

    async def __aenter__(self) -> AsyncRetouch:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection and release shared memory."""
        await self._transport.close()

    async def edit(
        self, image: ImageInput, instruction: str, **options: Unpack[EditOptions]
    ) -> AsyncGenerator[EditAnswer, None]:
        """Answers as they come, the final one last. `aclose()` of the iterator cancels the edit, as
        does cancelling the task that waits for it."""
        request = await edit_request_beside(image, instruction, **options)
        attempts = Attempts(self.retries, self.timeout)
        while True:
            try:
                async with contextlib.aclosing(
                    self._transport.edit(request, attempts.timeout)
                ) as stream:
                    async for answer in stream:
                        attempts.answered = True
                        yield answer
                return
            except RequestError as failure:
                pause = attempts.pause_after(in_queue(failure, request.deadline_ms))
            await asyncio.sleep(pause)

    async def edit_one(
        self, image: ImageInput, instruction: str, **options: Unpack[EditOptions]
    ) -> EditAnswer:
        """The final answer alone."""
        async for answer in self.edit(image, instruction, **options):
            last = answer  # previews are not kept
        return last

    async def lanes(self) -> tuple[str, ...]:
        """Names of the loaded lanes, the widest first; RequestError when no server answers."""
        return await self._transport.lanes()

    async def defaults(self, lane: str) -> dict[str, Any]:
        """What an edit in a loaded lane takes that names nothing else, by the names of the
        options: steps, guidance, true_cfg and sigmas. RequestError."""
        return await self._transport.defaults(lane)

    async def ready(self) -> bool:
        """Whether the server takes edits."""
        return await self._transport.ready()

    def _http_transport(self) -> AsyncTransport:
        from retouch.client.http_aio import AsyncHttpTransport

        return AsyncHttpTransport(self.url, self.model)

    def _grpc_transport(self, regions: Regions | None) -> AsyncTransport:
        from retouch.client.grpc_aio import AsyncGrpcTransport

        return AsyncGrpcTransport(self.url, self.model, regions)
