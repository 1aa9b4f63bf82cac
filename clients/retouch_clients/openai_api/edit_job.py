"""Edits of one request: arguments for the client, and answers at the requested size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from retouch.api.answer_format import Format
from retouch.api.request import EditOptions
from retouch.api.response import EditAnswer
from retouch.api.seed import new_seed
from retouch.imaging import images
from retouch_clients.openai_api import lanes
from retouch_clients.openai_api.body import ImageEditRequest
from retouch_clients.openai_api.errors import invalid
from retouch_clients.openai_api.parameters import POLICIES
from retouch_clients.openai_api.pictures import finished, region_of, size_of
from retouch_clients.openai_api.usage import Usage, usage

if TYPE_CHECKING:
    from typing_extensions import Unpack

REFUSE = "refuse"  # ON_UNKNOWN without one


class Client(Protocol):
    """The part of `retouch.client.AsyncRetouch` that this server uses."""

    def edit(
        self, image: bytes, instruction: str, **options: Unpack[EditOptions]
    ) -> AsyncGenerator[EditAnswer, None]: ...
    async def lanes(self) -> tuple[str, ...]: ...
    async def defaults(self, lane: str) -> dict[str, Any]: ...
    async def ready(self) -> bool: ...
    async def close(self) -> None: ...


@dataclass(frozen=True)
class Job:
    """A request, prepared for the client.

    Sizes are (width, height). `size` is the result's; None leaves it to the server."""

    request: ImageEditRequest
    input_sizes: list[tuple[int, int]]
    size: tuple[int, int] | None
    options: EditOptions

    @property
    def format(self) -> Format:
        return self.request.parameters.format

    @property
    def quality(self) -> str:
        return self.request.parameters.quality or "auto"

    def usage(self, results: list[EditAnswer]) -> Usage:
        parameters = self.request.parameters
        texts = (parameters.prompt, self.options.get("negative", ""))
        return usage(texts, self.input_sizes, [size_of(result.image) for result in results])

    async def answers(self, client: Client, seed: int) -> AsyncGenerator[EditAnswer, None]:
        """Previews and the result at the requested size. Closing the iterator cancels the edit."""
        options: EditOptions = {**self.options, "seed": seed}
        edit = client.edit(self.request.image, self.request.parameters.prompt, **options)
        async with aclosing(edit) as answers:
            async for answer in answers:
                if self.size is not None:
                    answer = await asyncio.to_thread(self._finished, answer, self.size)
                yield answer

    async def results(self, client: Client) -> list[EditAnswer]:
        """All n results, computed concurrently. If one fails, the others are cancelled."""
        first = self.seed()
        count = self.request.parameters.n or 1
        edits = [asyncio.create_task(self._result(client, first + index)) for index in range(count)]
        try:
            return await asyncio.gather(*edits)
        finally:
            for edit in edits:
                edit.cancel()

    def seed(self) -> int:
        return self.options.get("seed", new_seed())

    async def _result(self, client: Client, seed: int) -> EditAnswer:
        async with aclosing(self.answers(client, seed)) as answers:
            async for answer in answers:
                last = answer  # previews are not kept
        return last

    def _finished(self, answer: EditAnswer, size: tuple[int, int]) -> EditAnswer:
        return replace(answer, image=finished(answer.image, size, self.format))


async def plan(
    request: ImageEditRequest, client: Client, aliases: Sequence[str] = lanes.ALIASES
) -> Job:
    """The job of a request; ApiError or RequestError if it is invalid."""
    job = await asyncio.to_thread(_without_lane, request)
    precision = await _precision(request, client, aliases)
    options: EditOptions = {**job.options, "precision": precision}
    return replace(job, options=options)


def _without_lane(request: ImageEditRequest) -> Job:
    """The job without its lane. Decodes images, so call it in a thread."""
    parameters = request.parameters
    input_sizes = [
        images.stored_size(request.image),
        *(images.stored_size(reference, "REFERENCES") for reference in request.references),
    ]
    size = parameters.size_asked
    partial = parameters.partial_images or 0
    upright = images.upright_size(request.image) if request.mask or partial else None
    if partial and not size:
        size = upright  # the server's previews are smaller
    options: EditOptions = {
        "on_unknown": REFUSE,
        **parameters.extras(),
        "background": parameters.background or "auto",
        "previews": partial,
        "references": request.references,
        "region": region_of(request.mask, upright)
        if request.mask and upright
        else parameters.region or "auto",
        # a result that is scaled here is encoded here
        "format": "png"
        if size or parameters.format.name == "png"
        else _format_text(parameters.format),
    }
    return Job(request, input_sizes, size, options)


async def _precision(request: ImageEditRequest, client: Client, aliases: Sequence[str]) -> str:
    """The lane that `model` names, or the policy of `quality`."""
    model = request.parameters.model
    quality = request.parameters.quality or "auto"
    if model is None or lanes.is_default(model, aliases):
        return POLICIES[quality]
    lane = lanes.lane_of(model, await client.lanes(), aliases)
    if quality != "auto":
        raise invalid(
            f"Invalid 'quality': the model {model} already selects a lane; send only one of them.",
            "quality",
        )
    return lane


def _format_text(format: Format) -> str:
    return f"{format.name};quality={max(1, format.quality)}"
