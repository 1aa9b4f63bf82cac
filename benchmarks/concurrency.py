"""Concurrent clients of the OpenAI-compatible server: each gets one result or error, its own.

    python -m benchmarks.concurrency [--clients 50] [--seconds 120] [--json PATH]

Every client is an SDK of OpenAI with an image, a sentence and a lane of its own, and repeats a few
seeds. Each result must have the bytes that gRPC returned for the same edit before, one at a time. A
client that is refused retries when it is told to."""

from __future__ import annotations

import argparse
import asyncio
import base64
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.interleave import quantile
from benchmarks.openai_server import openai_server
from benchmarks.packages import need
from benchmarks.results import save_json
from benchmarks.table import machine
from retouch.api.lanes import LANES
from retouch.client import Retouch
from retouch.imaging import images
from retouch.launcher.server import HOST, RUNTIME, Server
from training.render import render
from training.scenes import held_out

need("openai")
import openai  # noqa: E402

MOST_CLIENTS = 200
MOST_SECONDS = 600
SEEDS = 3  # of each client
PARTIAL = 2  # images on the way


@dataclass(frozen=True)
class Member:
    """One client's image, sentence and lane, and gRPC's result by seed."""

    number: int
    image: bytes
    prompt: str
    lane: str
    expected: dict[int, bytes]


@dataclass
class Crowd:
    """Outcomes as the clients saw them. `faults` are results that are lost, duplicated or of
    another client."""

    asked: int = 0
    answered: Counter[int] = field(default_factory=Counter)  # by client
    refused: Counter[str] = field(default_factory=Counter)  # by status and code
    faults: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  # of the answered

    @property
    def whole(self) -> bool:
        return not self.faults and self.asked == self.answered.total() + self.refused.total()


def members(grpc: Retouch, count: int) -> list[Member]:
    made = []
    for number, (pair, _) in enumerate(zip(held_out(), range(count))):
        pixels = render(pair.source).pixels.copy()
        pixels[0, 0] = number % 256, 0, 1  # no two images are the same
        image = images.encode(pixels)
        lane = LANES[number % len(LANES)]
        seeds = range(number * SEEDS, (number + 1) * SEEDS)
        expected = {
            seed: grpc.edit_one(image, pair.instruction, seed=seed, precision=lane).image
            for seed in seeds
        }
        made.append(Member(number, image, pair.instruction, lane, expected))
    every = [image for member in made for image in member.expected.values()]
    if len({*every}) < len(made):
        sys.exit("the clients' results are not different enough to tell them apart")
    return made


async def gather(url: str, crowd: Sequence[Member], seconds: float) -> Crowd:
    """All of them at once, until no new request is sent after so many seconds."""
    seen = Crowd()
    end = time.monotonic() + seconds
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as sdk:
        await asyncio.gather(*(_member(sdk, member, seen, end) for member in crowd))
    return seen


async def _member(sdk: openai.AsyncOpenAI, member: Member, seen: Crowd, end: float) -> None:
    turn = 0
    while time.monotonic() < end:
        seen.asked = seen.asked + 1
        turn = turn + 1
        begin = time.monotonic()
        seed = member.number * SEEDS + turn % SEEDS
        try:
            fault = await _fault(sdk, member, seed)
        except openai.APIStatusError as refusal:
            seen.refused[f"{refusal.status_code} {refusal.code}"] += 1
            await asyncio.sleep(float(refusal.response.headers.get("retry-after-ms", 1000)) / 1000)
        except openai.OpenAIError as failure:
            seen.faults.append(f"client {member.number}: {failure!r}")
        else:
            if fault:
                seen.faults.append(f"client {member.number}, seed {seed}: {fault}")
            else:
                seen.answered[member.number] += 1
                seen.seconds.append(time.monotonic() - begin)


async def _fault(sdk: openai.AsyncOpenAI, member: Member, seed: int) -> str:
    """What is wrong with the answer to one request; empty when nothing is."""
    stream = await sdk.images.edit(
        image=("a.png", member.image),
        prompt=member.prompt,
        model=f"retouch-{member.lane}",
        stream=True,
        partial_images=PARTIAL,
        extra_body={"seed": seed, "on_unknown": "try"},  # every scene is edited
    )
    *partial, final = [event async for event in stream] or [None]
    if final is None or final.type != "image_edit.completed":
        return "the result is lost"
    if any(event.type != "image_edit.partial_image" for event in partial):
        return "there is more than one result"
    if [event.partial_image_index for event in partial] != list(range(len(partial))) or len(
        partial
    ) > PARTIAL:
        return "the partial images are not in order"
    info = final.retouch
    if (info["seed"], info["lane"]) != (seed, member.lane) or base64.b64decode(
        final.b64_json
    ) != member.expected[seed]:
        return "the result is another one"
    return ""


def main() -> None:
    options = parse()
    with Server(log=RUNTIME / "crowd.log") as server, openai_server(f"{HOST}:{server.grpc}") as url:
        with Retouch(f"{HOST}:{server.grpc}") as grpc:
            crowd = members(grpc, options.clients)
        begin = time.perf_counter()
        seen = asyncio.run(gather(url, crowd, options.seconds))
        seconds = time.perf_counter() - begin
    report(seen, crowd, seconds, options.json)
    sys.exit(0 if seen.whole and len(seen.answered) == len(crowd) else 1)


def report(seen: Crowd, crowd: Sequence[Member], seconds: float, path: Path | None) -> None:
    figures = {
        "clients": len(crowd),
        "seconds": seconds,
        "asked": seen.asked,
        "answered": seen.answered.total(),
        "refused": seen.refused,
        "faults": seen.faults,
        "least_of_a_client": min(seen.answered[member.number] for member in crowd),
        "median_seconds": statistics.median(seen.seconds),
        "p95_seconds": quantile(seen.seconds, 0.95),
    }
    print(machine())
    print(
        f"{len(crowd)} clients, {seconds:.0f} s: {seen.asked} requests, {seen.answered.total()} "
        f"results, {seen.refused.total()} refusals, {len(seen.faults)} faults"
    )
    for reason, count in seen.refused.most_common():
        print(f"  {count} times refused: {reason}")
    for fault in seen.faults[:20]:
        print(f"  {fault}")
    print(
        f"a result took {figures['median_seconds']:.2f} s (median), {figures['p95_seconds']:.2f} s "
        f"(p95); no client had fewer than {figures['least_of_a_client']}"
    )
    save_json(path, {"machine": machine(), **figures})


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.concurrency", description=__doc__.splitlines()[0]
    )
    for name, usual, most in (("--clients", 50, MOST_CLIENTS), ("--seconds", 120, MOST_SECONDS)):
        parser.add_argument(
            name, type=int, default=usual, choices=range(1, most + 1), metavar=f"1..{most}"
        )
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
