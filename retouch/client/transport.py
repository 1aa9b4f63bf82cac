"""The protocol side of a client: what `Retouch` and `AsyncRetouch` call over gRPC or HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any, Protocol

from retouch.api.request import EditRequest
from retouch.api.response import EditAnswer
from retouch.client.retry import Timeout


class Transport(Protocol):
    """Blocking calls to one endpoint of one server. All raise RequestError."""

    keep_open: bool  # keep connections open between edits

    def edit(self, request: EditRequest, timeout: Timeout) -> Generator[EditAnswer, None, None]:
        """Send one edit once and yield its previews and its result. Closing the iterator cancels
        the edit."""
        ...

    def lanes(self) -> tuple[str, ...]:
        """Names of the loaded lanes, from the widest to the narrowest."""
        ...

    def defaults(self, lane: str) -> dict[str, Any]:
        """What an edit in a loaded lane takes that names nothing else."""
        ...

    def ready(self) -> bool:
        """Whether the endpoint takes edits."""
        ...

    def close(self) -> None:
        """Close idle connections and release shared memory."""
        ...


class AsyncTransport(Protocol):
    """The same calls for asyncio. Cancelling the task of an edit cancels the edit too."""

    def edit(self, request: EditRequest, timeout: Timeout) -> AsyncGenerator[EditAnswer, None]: ...

    async def lanes(self) -> tuple[str, ...]: ...

    async def defaults(self, lane: str) -> dict[str, Any]: ...

    async def ready(self) -> bool: ...

    async def close(self) -> None: ...
