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
from pathlib import Path

from retouch.client import Retouch
from retouch.plain_loop import PlainLoop
from retouch.server import REPOSITORY, ROOT, RUNTIME, Server
from retouch.types import EditRequest

SAMPLE = ROOT / "checkpoints" / "shapes" / "sample"


def main() -> None:
    options = parse()
    loop = PlainLoop(REPOSITORY)
    request = EditRequest(
        options.image.read_bytes(), options.instruction, seed=0, steps=options.steps, precision=loop.lane)
    spent: dict[str, list[float]] = {"plain": [], "served": []}
    with Server(log=RUNTIME / "benchmark.log") as server, Retouch(f"127.0.0.1:{server.grpc}") as client:
        knobs = {"seed": request.seed, "steps": request.steps, "precision": request.precision}
        ways = {
            "plain": lambda: loop.edit(request),
            "served": lambda: list(client.edit(request.image, request.instruction, **knobs))[-1].image,
        }
        if ways["plain"]() != ways["served"]():
            sys.exit("the served image is not the one of the plain loop")
        for turn in range(options.warm_up + options.count):
            for name, way in ways.items():
                begin = time.perf_counter()
                way()
                if turn >= options.warm_up:
                    spent[name].append((time.perf_counter() - begin) * 1000)
    report({name: statistics.median(times) for name, times in spent.items()}, options)


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
