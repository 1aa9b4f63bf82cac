"""What stands for AsyncRetouch where no server is wanted: the source is the result, its first pixel
the seed's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from retouch.api.answer_format import parse_format
from retouch.api.errors import RequestError
from retouch.api.request import EditRequest
from retouch.api.response import EditAnswer, EditInfo, Operation, Region
from retouch.imaging import images

STEPS = 4
MILLISECONDS = {"preprocess": 1.5, "denoiser": 20.0, "total": 30.25}


class FakeDoors:
    """`fails` is raised at once, or after the first preview with `late`; `hangs` never answers;
    `asked` is what was."""

    def __init__(
        self,
        lanes: tuple[str, ...] = ("bf16", "fp8"),
        fails: RequestError | None = None,
        late: bool = False,
        hangs: bool = False,
        up: bool = True,
    ):
        self.loaded = lanes
        self.fails = fails
        self.late = late
        self.hangs = hangs
        self.up = up
        self.asked: list[EditRequest] = []
        self.left = 0  # edits that were not waited for

    async def lanes(self) -> tuple[str, ...]:
        return self.loaded

    async def defaults(self, lane: str) -> dict[str, float]:
        if lane not in self.loaded:
            raise RequestError(f"{lane} is not loaded")
        return {"steps": STEPS, "true_cfg": 1.0}

    async def ready(self) -> bool:
        return self.up

    async def close(self) -> None:
        pass

    async def edit(self, image: bytes, instruction: str, **options) -> AsyncIterator[EditAnswer]:
        request = EditRequest(image, instruction, **options).validate()
        over = False
        self.asked.append(request)
        try:
            if self.fails and not self.late:
                raise self.fails
            pixels = images.decode(image).copy()
            format = parse_format(request.format)
            for step in range(1, 1 + request.previews):
                preview = images.encode(images.fit(pixels, (32, 32)), format.name, format.quality)
                yield EditAnswer(preview, (step, STEPS), self._info(request, "preview"))
                if self.fails:
                    raise self.fails
            if self.hangs:
                await asyncio.Event().wait()
            pixels[0, 0] = request.seed % 256
            over = True
            result = images.encode(pixels, format.name, format.quality)
            yield EditAnswer(result, (STEPS, STEPS), self._info(request, "final"))
        finally:
            self.left += not over

    def _info(self, request: EditRequest, kind: str) -> EditInfo:
        lane = request.precision if request.precision in self.loaded else self.loaded[0]
        return EditInfo(
            kind,
            request.seed,
            lane,
            "asked for by name",
            STEPS,
            operations=[Operation("recolour", "circle")],
            region=Region((0.0, 0.0, 0.5, 0.5), 0.25),
            milliseconds=MILLISECONDS,
            versions={"retouch": "0", "checkpoint": "0123456789ab"},
        )
