"""Success by operation over the 500 held-out scenes, on the exported graphs: what is served, without the server.

    python -m training.evaluate [--precision LANE] [--steps N] [--scenes N] [--json PATH]
"""

import argparse
import json
import random
from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from retouch.plain_loop import PlainLoop
from retouch import images
from retouch.types import EditRequest
from training.judge import INSIDE, OUTSIDE, Judgement, judge
from training.render import render
from training.scenes import BUCKETS, OPS, Pair, draw_pair

SCENES = 500
KINDS = (*OPS, "two operations")


def held_out(count: int = SCENES) -> list[Pair]:
    """The fixed scenes: every kind of edit and every bucket in turn, from a seed that training never uses."""
    rng = random.Random("held out")
    return [draw_pair(rng, BUCKETS[i % len(BUCKETS)], KINDS[i % len(KINDS)]) for i in range(count)]


def evaluate(loop: PlainLoop, scenes: list[Pair], steps: int) -> dict[str, list[Judgement]]:
    """Judgements by kind of edit; scene i is edited with seed i."""
    rows = defaultdict(list)
    for seed, pair in enumerate(track(scenes, "editing", transient=True)):
        source, target = render(pair.source), render(pair.target)
        request = EditRequest(images.encode(source.pixels), pair.instruction, seed=seed, steps=steps)
        rows[pair.kind].append(judge(source, target, images.decode(loop.edit(request))))
    return rows


def summary(rows: dict[str, list[Judgement]]) -> dict[str, dict[str, float]]:
    table = {kind: rows[kind] for kind in KINDS if rows[kind]} | {"all": [one for row in rows.values() for one in row]}
    return {kind: {"scenes": len(row), "success": _mean(row, "success"), "inside": _mean(row, "inside"),
                   "outside": _mean(row, "outside"), "drift": _mean(row, "drift")} for kind, row in table.items()}


def show(table: dict[str, dict[str, float]]) -> None:
    out = Table(caption="drift: grey levels that the others have moved",
                title=f"success: {INSIDE:.0%} of the pixels to change and {OUTSIDE:.0%} of the others are right")
    out.add_column("edit")
    for name in ("scenes", "success", "inside", "outside", "drift"):
        out.add_column(name, justify="right")
    for kind, row in table.items():
        out.add_row(kind, str(row["scenes"]), *(f"{row[name]:.1%}" for name in ("success", "inside", "outside")),
                    f"{row['drift']:.1f}", style="bold" if kind == "all" else None)
    Console().print(out)


def _mean(row: list[Judgement], name: str) -> float:
    return sum(float(getattr(one, name)) for one in row) / len(row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--precision", default="bf16", help="the lane")
    parser.add_argument("--steps", type=int, default=0, help="0: the checkpoint's default")
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--json", type=Path, help="write the table here as well")
    chosen = parser.parse_args()
    table = summary(evaluate(PlainLoop(chosen.repository, chosen.precision), held_out(chosen.scenes), chosen.steps))
    show(table)
    if chosen.json:
        chosen.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
