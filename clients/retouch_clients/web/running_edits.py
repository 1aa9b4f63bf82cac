"""The running edits: at most one per tab. Any thread can stop them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from retouch.api.errors import Cancelled, RequestError
from retouch.api.request import EditOptions
from retouch.api.response import EditAnswer
from retouch.client import AsyncRetouch

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Dropped(Exception):
    """The tab shows something else by now; the edit's answers are not needed."""


class RunningEdits:
    """Concurrent edits of many tabs on one server at host:port.

    Use it within `connected`, in its event loop."""

    def __init__(self, address: str):
        self.address = address
        self._running: dict[str, asyncio.Task] = {}

    @contextlib.asynccontextmanager
    async def connected(self, _: Any = None) -> AsyncIterator[None]:
        """A connection to the server, as the lifespan of an application (the argument)."""
        async with AsyncRetouch(self.address) as self._client:
            yield

    async def answers(
        self, tab: str, image: bytes, instruction: str, **options: Unpack[EditOptions]
    ) -> AsyncIterator[EditAnswer]:
        """Previews and the result. RequestError, Cancelled after `stop`, or Dropped after `drop`.

        The tab's previous edit is dropped. Closing this generator stops the edit: the denoiser
        ends it at its next step. `options` are EditRequest's fields."""
        self.drop(tab)
        answers: asyncio.Queue[EditAnswer | BaseException | None] = asyncio.Queue()
        task = asyncio.create_task(self._fetch(answers, image, instruction, options))

        def finish(task: asyncio.Task) -> None:
            answers.put_nowait(Cancelled() if task.cancelled() else task.exception())

        task.add_done_callback(finish)
        self._running[tab] = task
        try:
            while (answer := await answers.get()) is not None:
                if self._running.get(tab) is not task:
                    raise Dropped
                if isinstance(answer, BaseException):
                    raise answer
                yield answer
        finally:
            task.cancel()
            if self._running.get(tab) is task:
                del self._running[tab]

    def stop(self, tab: str) -> None:
        """Stop the tab's edit, if any. Safe to call from any thread, as is `drop`."""
        if task := self._running.get(tab):
            task.get_loop().call_soon_threadsafe(task.cancel)

    def drop(self, tab: str) -> None:
        """Stop the tab's edit and discard its answers, as the tab shows something else."""
        self.stop(tab)
        self._running.pop(tab, None)

    async def lanes(self) -> tuple[str, ...]:
        """The loaded lanes; empty if no server answers."""
        try:
            return await self._client.lanes()
        except RequestError:
            return ()

    async def ready(self) -> bool:
        try:
            return await self._client.ready()
        except RequestError:
            return False

    async def _fetch(
        self, answers: asyncio.Queue, image: bytes, instruction: str, options: EditOptions
    ) -> None:
        async for answer in self._client.edit(image, instruction, **options):
            answers.put_nowait(answer)
