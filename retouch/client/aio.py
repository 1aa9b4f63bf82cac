"""The client for asyncio."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from retouch.api.errors import RequestError
from retouch.api.request import EditOptions, ImageInput
from retouch.api.response import EditAnswer
from retouch.client.base import Client
from retouch.client.errors import in_queue
from retouch.client.files import edit_request_beside
from retouch.client.retry import Attempts

if TYPE_CHECKING:
    from typing_extensions import Unpack


class AsyncRetouch(Client):
    """As `Retouch`, with which it shares its arguments, errors and rules; any number of edits may
    run at once."""

    _kind = "Asynchronous"

    async def __aenter__(self) -> AsyncRetouch:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._over.close()

    async def edit(
        self, image: ImageInput, instruction: str, **options: Unpack[EditOptions]
    ) -> AsyncIterator[EditAnswer]:
        """Answers as they come, the final one last. `aclose()` of the iterator cancels the edit, as
        does cancelling the task that waits for it."""
        request = await edit_request_beside(image, instruction, **options)
        attempts = Attempts(self.retries, self.timeout)
        while True:
            try:
                async with contextlib.aclosing(
                    self._over.answers(request, attempts.patience)
                ) as answers:
                    async for answer in answers:
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
            pass
        return answer

    async def lanes(self) -> tuple[str, ...]:
        """The lanes that are loaded, by name, the widest first; RequestError when no server
        answers."""
        return await self._over.lanes()

    async def ready(self) -> bool:
        """Whether edits would be taken."""
        return await self._over.ready()
