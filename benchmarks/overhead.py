"""Overhead of serving: one edit through `edit` against the same stages in a plain loop.

Both decode, edit and encode the same image, sentence, seed and steps, in turns, so that other load
on the machine affects both. Prints medians; `--json PATH` writes them."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.results import save_json
from benchmarks.uncached_images import unseen
from retouch.api.request import EditRequest
from retouch.client import Retouch
from retouch.imaging import images
from retouch.launcher.server import REPOSITORY, ROOT, RUNTIME, Server
from retouch.offline.plain_loop import PlainLoop

SAMPLE = ROOT / "checkpoints" / "photo" / "shapes.png"


def main() -> None:
    options = parse()
    with (
        Server(log=RUNTIME / "benchmark.log") as server,
        Retouch(f"127.0.0.1:{server.grpc}") as client,
    ):
        try:
            spent = compare(PlainLoop(REPOSITORY), client, requests(options), options.warm_up)
        except Unlike as failure:
            sys.exit(str(failure))
    report({name: statistics.median(times) for name, times in spent.items()}, options)


class Unlike(RuntimeError):
    """The server's image differs from the plain loop's, so their times cannot be compared."""


def compare(
    loop: PlainLoop, client: Retouch, requests: Iterable[EditRequest], warm_up: int = 0
) -> dict[str, list[float]]:
    """Milliseconds of every edit after the first `warm_up`, as `plain` and `served`. Raises
    Unlike."""
    ways = {"plain": loop.edit, "served": lambda request: client.edit_one(**vars(request)).image}
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for turn, request in enumerate(requests):
        answers = {}
        for name, way in ways.items():
            begin = time.perf_counter()
            answers[name] = way(request)
            if turn >= warm_up:
                spent[name].append((time.perf_counter() - begin) * 1000)
        if answers["plain"] != answers["served"]:
            raise Unlike("the served image is not the one of the plain loop")
    return spent


def requests(options: argparse.Namespace) -> Iterator[EditRequest]:
    """Edits of one image that differs in a pixel each time."""
    pixels = images.decode(options.image.read_bytes())
    for turn in range(options.warm_up + options.count):
        yield EditRequest(
            unseen(pixels, turn), options.instruction, seed=0, steps=options.steps, precision="bf16"
        )


def report(medians: dict[str, float], options: argparse.Namespace) -> None:
    ratio = medians["served"] / medians["plain"]
    print(f"plain loop  {medians['plain']:8.1f} ms   median of {options.count}")
    print(f"edit        {medians['served']:8.1f} ms")
    print(f"ratio       {ratio:8.3f}")
    save_json(
        options.json,
        {
            "plain_ms": medians["plain"],
            "served_ms": medians["served"],
            "ratio": ratio,
            "count": options.count,
        },
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", type=Path, default=SAMPLE)
    parser.add_argument("--instruction", default="make the red circle blue")
    parser.add_argument("--steps", type=int, default=0, help="0: the model's default")
    parser.add_argument("--count", type=int, default=30, help="edits of each way")
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
