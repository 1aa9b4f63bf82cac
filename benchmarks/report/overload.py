"""Loads above capacity. perf_analyzer ends at the first refusal, so a client of Retouch counts
them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

from benchmarks.report.run import Request, Run
from retouch.api.errors import RequestError
from retouch.api.request import EditRequest
from retouch.client import AsyncRetouch, Retries

REFUSED = "UNAVAILABLE"


def flood(
    url: str, model: str, requests: Sequence[EditRequest], rate: float, slo_ms: float, seed: int
) -> Run:
    """Send Poisson arrivals at `rate` a second, each once. Raises any failure but a refusal."""
    requests, refused = asyncio.run(_send(url, model, requests, rate, random.Random(seed)))
    return Run.of(requests, slo_ms, refused)


async def _send(
    url: str, model: str, requests: Sequence[EditRequest], rate: float, rng: random.Random
) -> tuple[list[Request], list[float]]:
    """Those that were answered, and when those were sent that were not."""
    async with AsyncRetouch(url, model=model, retries=Retries(attempts=1)) as client:
        tasks = []
        due = time.monotonic()
        for request in requests:
            due += rng.expovariate(rate)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            tasks.append(asyncio.create_task(_edit(client, request)))
        results = await asyncio.gather(*tasks)
    return [result for result in results if result.answers], [
        result.sent for result in results if not result.answers
    ]


async def _edit(client: AsyncRetouch, request: EditRequest) -> Request:
    """Without an answer when it was refused."""
    sent = time.monotonic()
    answers = []
    try:
        async for _ in client.edit(**vars(request)):
            answers.append(time.monotonic())
    except RequestError as failure:
        if failure.code != REFUSED:
            raise
    return Request(sent, answers)
