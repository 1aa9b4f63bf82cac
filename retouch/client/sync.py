"""The client for ordinary code."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from retouch.api.errors import RequestError
from retouch.api.request import EditOptions, EditRequest, ImageInput
from retouch.api.response import EditAnswer
from retouch.client.base import Client
from retouch.client.errors import in_queue
from retouch.client.files import edit_request
from retouch.client.retry import Attempts
from retouch.client.transport import Transport

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from retouch.client.shared_memory import Regions


class Retouch(Client[Transport]):
    """Client for ordinary code. One object may serve several threads.

    In a `with` block gRPC streams stay open between edits, which saves a few milliseconds each."""

    def __enter__(self) -> Retouch:
        self._transport.keep_open = True
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close idle connections and release shared memory."""
        self._transport.close()

    def edit(
        self, image: ImageInput, instruction: str, **options: Unpack[EditOptions]
    ) -> Generator[EditAnswer, None, None]:
        """Yield previews, then the final answer. Options that are left out have EditRequest's
        defaults.

        `image`, `region` (a mask) and every entry of `references` may be bytes, a bytearray, a
        memoryview, a pathlib.Path, a file opened with 'rb' or a PIL image; TypeError for anything
        else.

        RequestError says what was wrong: INVALID_ARGUMENT before anything is sent, where it can be
        seen here; DEADLINE_EXCEEDED, also when `timeout` is over; UNAVAILABLE when no attempt was
        taken on; INTERNAL. Leaving the iterator early cancels the edit."""
        return self._attempts(edit_request(image, instruction, **options))

    def edit_one(
        self, image: ImageInput, instruction: str, **options: Unpack[EditOptions]
    ) -> EditAnswer:
        """The final answer alone."""
        *_, answer = self.edit(image, instruction, **options)
        return answer

    def lanes(self) -> tuple[str, ...]:
        """Names of the loaded lanes, the widest first; RequestError when no server answers."""
        return self._transport.lanes()

    def defaults(self, lane: str) -> dict[str, Any]:
        """What an edit in a loaded lane takes that names nothing else, by the names of the
        options: steps, guidance, true_cfg and sigmas. RequestError."""
        return self._transport.defaults(lane)

    def ready(self) -> bool:
        """Whether the server takes edits."""
        return self._transport.ready()

    def _attempts(self, request: EditRequest) -> Generator[EditAnswer, None, None]:
        attempts = Attempts(self.retries, self.timeout)
        while True:
            try:
                with contextlib.closing(self._transport.edit(request, attempts.timeout)) as stream:
                    for answer in stream:
                        attempts.answered = True
                        yield answer
                return
            except RequestError as failure:
                pause = attempts.pause_after(in_queue(failure, request.deadline_ms))
            time.sleep(pause)

    def _http_transport(self) -> Transport:
        from retouch.client.http import HttpTransport

        return HttpTransport(self.url, self.model)

    def _grpc_transport(self, regions: Regions | None) -> Transport:
        from retouch.client.grpc import GrpcTransport

        return GrpcTransport(self.url, self.model, regions)
