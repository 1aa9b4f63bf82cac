"""An order on its way: what the doors are asked for, and their answers as the order wants them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from retouch.api.answer_format import Format
from retouch.api.fields import new_seed
from retouch.api.request import EditOptions
from retouch.api.response import EditAnswer
from retouch.imaging import images
from retouch_clients.openai_api import lanes
from retouch_clients.openai_api.body import ImageEditRequest
from retouch_clients.openai_api.errors import invalid
from retouch_clients.openai_api.parameters import WISHES
from retouch_clients.openai_api.pictures import finished, region_of, size_of
from retouch_clients.openai_api.usage import Usage, usage

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Client(Protocol):
    """What an edit needs of `retouch.client.AsyncRetouch`."""

    def edit(
        self, image: bytes, instruction: str, **options: Unpack[EditOptions]
    ) -> AsyncIterator[EditAnswer]: ...
    async def lanes(self) -> tuple[str, ...]: ...
    async def ready(self) -> bool: ...


@dataclass(frozen=True)
class Job:
    """An order, the sizes (width, height) of the pictures sent and of the result, None where it is
    left to the doors, and the arguments of the client's `edit`."""

    order: ImageEditRequest
    sent: list[tuple[int, int]]
    size: tuple[int, int] | None
    options: EditOptions

    @property
    def format(self) -> Format:
        return self.order.parameters.format

    @property
    def quality(self) -> str:
        return self.order.parameters.quality or "auto"

    def usage(self, results: list[EditAnswer]) -> Usage:
        parameters = self.order.parameters
        texts = (parameters.prompt, self.options.get("negative", ""))
        return usage(texts, self.sent, [size_of(result.image) for result in results])

    async def answers(self, client: Client, seed: int) -> AsyncIterator[EditAnswer]:
        """Previews and the result as they come, at the order's size. Closing the iterator cancels
        the edit."""
        options: EditOptions = {**self.options, "seed": seed}
        edit = client.edit(self.order.image, self.order.parameters.prompt, **options)
        async with aclosing(edit) as answers:
            async for answer in answers:
                yield (
                    answer if self.size is None else await asyncio.to_thread(self._finished, answer)
                )

    async def results(self, client: Client) -> list[EditAnswer]:
        """All n, computed side by side; when one fails or the task is cancelled, the others are
        too."""
        first = self.seed()
        count = self.order.parameters.n or 1
        edits = [asyncio.create_task(self._result(client, first + turn)) for turn in range(count)]
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
                pass
        return answer

    def _finished(self, answer: EditAnswer) -> EditAnswer:
        return replace(answer, image=finished(answer.image, self.size, self.format))


async def plan(
    order: ImageEditRequest, client: Client, aliases: Sequence[str] = lanes.ALIASES
) -> Job:
    """ApiError or RequestError when it cannot be done."""
    job = await asyncio.to_thread(_planned, order)
    options: EditOptions = {**job.options, "precision": await _precision(order, client, aliases)}
    return replace(job, options=options)


def _planned(order: ImageEditRequest) -> Job:
    """All but the lane; here pictures are decoded."""
    parameters = order.parameters
    sent = [
        images.stored_size(order.image),
        *(images.stored_size(reference, "REFERENCES") for reference in order.references),
    ]
    size = parameters.size_asked
    partial = parameters.partial_images or 0
    upright = images.upright_size(order.image) if order.mask or partial else None
    if partial and not size:
        size = upright  # the doors' previews are smaller
    options: EditOptions = {
        **parameters.extras(),
        "previews": partial,
        "references": order.references,
        "region": region_of(order.mask, upright) if order.mask else "auto",
        # what is scaled here is encoded here
        "format": "png" if size or parameters.format.name == "png" else _words(parameters.format),
    }
    return Job(order, sent, size, options)


async def _precision(order: ImageEditRequest, client: Client, aliases: Sequence[str]) -> str:
    """The lane of the model's name, or what the quality wishes."""
    model = order.parameters.model
    quality = order.parameters.quality or "auto"
    if model is None or lanes.is_default(model, aliases):
        return WISHES[quality]
    lane = lanes.lane_of(model, await client.lanes(), aliases)
    if quality != "auto":
        raise invalid(
            f"Invalid 'quality': it chooses a lane, and the model {model} is one; leave one of them out.",
            "quality",
        )
    return lane


def _words(format: Format) -> str:
    return f"{format.name};quality={max(1, format.quality)}"
