"""What serving adds: one edit through `edit` against the same stages called in a plain loop in one process.

Both do the same work, decoding and encoding included, on the same image, sentence, seed and steps, in turns, so
that whatever else the machine does hits both. Prints medians; `--json PATH` writes them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from retouch import images
from retouch.client import Retouch
from retouch.plain_loop import PlainLoop
from retouch.server import REPOSITORY, ROOT, RUNTIME, Server
from retouch.types import EditRequest

SAMPLE = ROOT / "checkpoints" / "shapes" / "sample"


def main() -> None:
    options = parse()
    loop = PlainLoop(REPOSITORY)
    spent: dict[str, list[float]] = {"plain": [], "served": []}
    with Server(log=RUNTIME / "benchmark.log") as server, Retouch(f"127.0.0.1:{server.grpc}") as client:
        ways = {"plain": loop.edit, "served": lambda request: _served(client, request)}
        for turn, request in enumerate(requests(options)):
            answers = {}
            for name, way in ways.items():
                begin = time.perf_counter()
                answers[name] = way(request)
                if turn >= options.warm_up:
                    spent[name].append((time.perf_counter() - begin) * 1000)
            if answers["plain"] != answers["served"]:
                sys.exit("the served image is not the one of the plain loop")
    report({name: statistics.median(times) for name, times in spent.items()}, options)


def requests(options: argparse.Namespace) -> Iterator[EditRequest]:
    """Edits of one image that differs in a pixel each time: what is remembered of an image must not help."""
    pixels = images.decode(options.image.read_bytes()).copy()
    for turn in range(options.warm_up + options.count):
        pixels[0, 0] = turn % 256
        yield EditRequest(images.encode(pixels), options.instruction, seed=0, steps=options.steps, precision="bf16")


def _served(client: Retouch, request: EditRequest) -> bytes:
    *_, answer = client.edit(request.image, request.instruction, seed=request.seed, steps=request.steps,
                             precision=request.precision)
    return answer.image


def report(medians: dict[str, float], options: argparse.Namespace) -> None:
    ratio = medians["served"] / medians["plain"]
    print(f"plain loop  {medians['plain']:8.1f} ms   median of {options.count}")
    print(f"edit        {medians['served']:8.1f} ms")
    print(f"ratio       {ratio:8.3f}")
    if options.json:
        figures = {"plain_ms": medians["plain"], "served_ms": medians["served"], "ratio": ratio, "count": options.count}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", type=Path, default=SAMPLE.with_suffix(".png"))
    parser.add_argument("--instruction", default="make the red circle blue")
    parser.add_argument("--steps", type=int, default=0, help="0: the model's default")
    parser.add_argument("--count", type=int, default=30, help="edits of each way")
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
