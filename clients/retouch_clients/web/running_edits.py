"""The edits that run: at most one a tab, each to be stopped from elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from retouch.api.errors import Cancelled, RequestError
from retouch.api.response import EditAnswer
from retouch.client import AsyncRetouch


class Dropped(Exception):
    """The tab shows something else by now; nobody wants to hear of the edit."""


class Edits:
    """Edits of many tabs side by side on one server, host:port. To be used within `connected`, in
    its event loop."""

    def __init__(self, address: str):
        self.address = address
        self._running: dict[str, asyncio.Task] = {}

    @contextlib.asynccontextmanager
    async def connected(self, _: Any = None) -> AsyncIterator[None]:
        """The argument is the application whose lifespan this is."""
        async with AsyncRetouch(self.address) as self._client:
            yield

    async def answers(
        self, tab: str, image: bytes, instruction: str, **knobs: Any
    ) -> AsyncIterator[EditAnswer]:
        """Previews and the result; RequestError, Cancelled when the tab was stopped, or Dropped.

        An edit that the tab had before is dropped, and closing this generator stops its own: the
        denoiser drops it at its next step."""
        self.drop(tab)
        found: asyncio.Queue[EditAnswer | Exception | None] = asyncio.Queue()
        task = asyncio.create_task(self._fetch(found, image, instruction, knobs))
        task.add_done_callback(
            lambda over: found.put_nowait(Cancelled() if over.cancelled() else over.exception())
        )
        self._running[tab] = task
        try:
            while (answer := await found.get()) is not None:
                if self._running.get(tab) is not task:
                    raise Dropped
                if isinstance(answer, Exception):
                    raise answer
                yield answer
        finally:
            task.cancel()
            if self._running.get(tab) is task:
                del self._running[tab]

    def stop(self, tab: str) -> None:
        """Stop what the tab has running, if anything; from any thread, as `drop`."""
        if task := self._running.get(tab):
            task.get_loop().call_soon_threadsafe(task.cancel)

    def drop(self, tab: str) -> None:
        """The same where the tab shows something else from now on: its edit has no more answers,
        nor a result."""
        self.stop(tab)
        self._running.pop(tab, None)

    async def lanes(self) -> tuple[str, ...]:
        """Those loaded now; none when no server answers."""
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
        self, found: asyncio.Queue, image: bytes, instruction: str, knobs: dict[str, Any]
    ) -> None:
        async for answer in self._client.edit(image, instruction, **knobs):
            found.put_nowait(answer)
