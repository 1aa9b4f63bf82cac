"""The client for ordinary code."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from retouch.api.errors import RequestError
from retouch.api.request import EditRequest
from retouch.api.response import EditAnswer
from retouch.client.base import Client
from retouch.client.errors import in_queue
from retouch.client.files import ImageInput, edit_request
from retouch.client.retry import Attempts


class Retouch(Client):
    """Client for ordinary code. In a `with` block gRPC streams stay open between edits, which saves
    a few milliseconds each. One object may serve several threads."""

    _kind = "Blocking"

    def __enter__(self) -> Retouch:
        self._over.keeps = True
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._over.close()

    def edit(self, image: ImageInput, instruction: str, **knobs: Any) -> Iterator[EditAnswer]:
        """Answers as they come, the final one last; knobs are EditRequest's fields, left-out ones
        its defaults.

        `image`, `region` (a mask) and each of `references` may be bytes, a bytearray, a memoryview,
        a pathlib.Path, a file opened with 'rb' or a PIL image; TypeError for anything else.

        RequestError says what was wrong: INVALID_ARGUMENT before anything is sent, where it can be
        seen here; DEADLINE_EXCEEDED, also when `timeout` is over; UNAVAILABLE when no attempt was
        taken on; INTERNAL. Leaving the iterator early cancels the edit."""
        return self._attempts(edit_request(image, instruction, **knobs))

    def edit_one(self, image: ImageInput, instruction: str, **knobs: Any) -> EditAnswer:
        """The final answer alone."""
        *_, answer = self.edit(image, instruction, **knobs)
        return answer

    def lanes(self) -> tuple[str, ...]:
        """The lanes that are loaded, by name, the widest first; RequestError when no server
        answers."""
        return self._over.lanes()

    def ready(self) -> bool:
        """Whether edits would be taken."""
        return self._over.ready()

    def _attempts(self, request: EditRequest) -> Iterator[EditAnswer]:
        attempts = Attempts(self.retries, self.timeout)
        while True:
            try:
                with contextlib.closing(self._over.answers(request, attempts.patience)) as answers:
                    for answer in answers:
                        attempts.answered = True
                        yield answer
                return
            except RequestError as failure:
                pause = attempts.pause_after(in_queue(failure, request.deadline_ms))
            time.sleep(pause)
