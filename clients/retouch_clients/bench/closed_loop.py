"""Closed-loop load on a running server.

Each client sends one edit at a time, of an image that the server has not seen."""

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
# errors that load causes; any other would fail every edit
LOAD_ERRORS = ("UNAVAILABLE", "DEADLINE_EXCEEDED")


@dataclass(frozen=True)
class Drawing:
    """An encoded image and an instruction for it."""

    image: bytes
    instruction: str


@dataclass
class Measured:
    """The result of one closed loop.

    Seconds of each answered edit: in total and to its first preview. Errors are counted by the
    beginning of their message."""

    clients: int
    seconds: float = 0.0
    total: list[float] = field(default_factory=list)
    first_preview: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def throughput(self) -> float:
        """Edits per second."""
        return len(self.total) / self.seconds if self.seconds else 0.0

    def figures(self) -> dict[str, Any]:
        """Values for a table and for JSON. Times in milliseconds, None if nothing was measured."""
        return {
            "concurrency": self.clients,
            "answered": len(self.total),
            "refused": self.refused.total(),
            "seconds": round(self.seconds, 3),
            "edits_per_second": round(self.throughput, 3),
            **{f"p{share}_ms": _quantile(self.total, share) for share in (50, 90, 99)},
            **{
                f"first_preview_p{share}_ms": _quantile(self.first_preview, share)
                for share in (50, 90)
            },
            "refusals": dict(self.refused),
        }


def draw(number: int) -> Drawing:
    """A circle and a square on a plain background. The same number gives the same drawing."""
    rng = random.Random(number)
    circle, square, target = rng.sample(sorted(COLOURS), 3)
    image = Image.new("RGB", (SIDE, SIDE), tuple(rng.randint(150, 250) for _ in range(3)))
    pen = ImageDraw.Draw(image)
    size = SIDE // 3
    left = rng.randint(0, SIDE // 2 - size)
    top = rng.randint(0, SIDE - size)
    pen.ellipse((left, top, left + size, top + size), fill=COLOURS[circle])
    left = rng.randint(SIDE // 2, SIDE - size)
    top = rng.randint(0, SIDE - size)
    pen.rectangle((left, top, left + size, top + size), fill=COLOURS[square])
    file = io.BytesIO()
    image.save(file, "PNG")
    return Drawing(file.getvalue(), f"make the {circle} circle {target}")


async def measure(
    client: AsyncRetouch,
    drawings: list[Drawing],
    clients: int,
    fields: dict[str, Any],
    on_answer: Callable[[], None] = lambda: None,
) -> Measured:
    """Edit all drawings, `clients` at a time. RequestError for an error that load does not explain.

    `fields` are EditRequest's; `on_answer` is called after each edit."""
    measured = Measured(clients)
    waiting = iter(drawings)
    begin = time.perf_counter()
    await asyncio.gather(
        *(_client(client, waiting, fields, measured, on_answer) for _ in range(clients))
    )
    measured.seconds = time.perf_counter() - begin
    return measured


async def _client(
    client: AsyncRetouch,
    waiting: Iterator[Drawing],
    fields: dict[str, Any],
    measured: Measured,
    on_answer: Callable[[], None],
) -> None:
    for drawing in waiting:
        begin = time.perf_counter()
        first = None
        try:
            async for answer in client.edit(drawing.image, drawing.instruction, **fields):
                first = first if answer.final or first else time.perf_counter() - begin
            measured.total.append(time.perf_counter() - begin)
            measured.first_preview.extend([first] if first else [])
        except RequestError as refusal:
            if refusal.code not in LOAD_ERRORS:
                raise
            # what follows are estimates, which differ each time
            reason = re.split("[:;]", str(refusal))[0]
            measured.refused[reason] += 1
        on_answer()


def _quantile(seconds: list[float], share: int) -> float | None:
    return round(float(np.percentile(seconds, share)) * 1000, 2) if seconds else None
