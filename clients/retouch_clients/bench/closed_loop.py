"""A closed loop on a running server: so many clients, each with one edit at a time of an image that
nobody has seen."""

from __future__ import annotations

import asyncio
import io
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from retouch.api.errors import RequestError
from retouch.client import AsyncRetouch

COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 160, 70),
    "blue": (40, 80, 220),
    "yellow": (235, 200, 50),
}
SIDE = 128  # pixels of a drawn image
GOES_ON = (
    "UNAVAILABLE",
    "DEADLINE_EXCEEDED",
)  # refusals that a load brings; others would end every edit


@dataclass(frozen=True)
class Drawn:
    """An image file and a sentence about it."""

    image: bytes
    instruction: str


@dataclass
class Measured:
    """One closed loop. Seconds of each edit that was answered, in all and to its first preview;
    refusals by how their sentence begins."""

    clients: int
    seconds: float = 0.0
    whole: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def throughput(self) -> float:
        """Edits a second."""
        return len(self.whole) / self.seconds if self.seconds else 0.0

    def figures(self) -> dict[str, Any]:
        """For a table and for JSON; milliseconds, None where nothing was measured."""
        return {
            "concurrency": self.clients,
            "answered": len(self.whole),
            "refused": self.refused.total(),
            "seconds": round(self.seconds, 3),
            "edits_per_second": round(self.throughput, 3),
            **{f"p{share}_ms": _quantile(self.whole, share) for share in (50, 90, 99)},
            **{f"first_preview_p{share}_ms": _quantile(self.first, share) for share in (50, 90)},
            "refusals": dict(self.refused),
        }


def draw(number: int) -> Drawn:
    """The same for the same number: a circle and a square of two colours somewhere on a ground of a
    chance tone."""
    chance = random.Random(number)
    one, other, third = chance.sample(sorted(COLOURS), 3)
    image = Image.new("RGB", (SIDE, SIDE), tuple(chance.randint(150, 250) for _ in range(3)))
    pen = ImageDraw.Draw(image)
    size = SIDE // 3
    left = chance.randint(0, SIDE // 2 - size)
    top = chance.randint(0, SIDE - size)
    pen.ellipse((left, top, left + size, top + size), fill=COLOURS[one])
    left = chance.randint(SIDE // 2, SIDE - size)
    top = chance.randint(0, SIDE - size)
    pen.rectangle((left, top, left + size, top + size), fill=COLOURS[other])
    file = io.BytesIO()
    image.save(file, "PNG")
    return Drawn(file.getvalue(), f"make the {one} circle {third}")


async def measure(
    client: AsyncRetouch,
    drawn: list[Drawn],
    clients: int,
    fields: dict[str, Any],
    tell: Callable[[], None] = lambda: None,
) -> Measured:
    """All edits, `clients` at a time; RequestError when one is refused for another reason than
    load."""
    measured = Measured(clients)
    waiting = iter(drawn)
    begin = time.perf_counter()
    await asyncio.gather(
        *(_client(client, waiting, fields, measured, tell) for _ in range(clients))
    )
    measured.seconds = time.perf_counter() - begin
    return measured


async def _client(
    client: AsyncRetouch,
    waiting: Iterator[Drawn],
    fields: dict[str, Any],
    measured: Measured,
    tell: Callable[[], None],
) -> None:
    for each in waiting:
        begin = time.perf_counter()
        first = None
        try:
            async for answer in client.edit(each.image, each.instruction, **fields):
                first = first if answer.final or first else time.perf_counter() - begin
            measured.whole.append(time.perf_counter() - begin)
            measured.first.extend([first] if first else [])
        except RequestError as refusal:
            if refusal.code not in GOES_ON:
                raise
            measured.refused[re.split("[:;]", str(refusal))[0]] += (
                1  # the estimates differ each time
            )
        tell()


def _quantile(seconds: list[float], share: int) -> float | None:
    return round(float(np.percentile(seconds, share)) * 1000, 2) if seconds else None
