"""A whole edit through tritonserver: milliseconds and share of each stage.

    python -m benchmarks.edit_stages [--profile gpu] [--repository FOLDER] [--json PATH]

The server runs what the repository holds, by the profile. Every edit has another image, so no cache
helps. The milliseconds are those of INFO. The parser runs beside the encoder and the reference
pass, so shares can add up to more than the whole."""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.results import save_json
from benchmarks.uncached_images import unseen
from retouch.api.response import EditInfo
from retouch.client import Retouch
from retouch.imaging import images
from retouch.launcher.server import REPOSITORY, ROOT, RUNTIME, Server
from retouch.launcher.start_failure import ServerError

SAMPLE = ROOT / "checkpoints" / "photo" / "sample"
TOTAL = "total"


def main() -> None:
    options = parse()
    try:
        with (
            Server(
                options.repository, profile=options.profile, log=RUNTIME / "benchmark.log"
            ) as server,
            Retouch(f"127.0.0.1:{server.grpc}") as client,
        ):
            answers = edits(client, options)
    except ServerError as failure:
        sys.exit(f"not served: {failure}")
    milliseconds = stages(answers)
    show(milliseconds, options.profile)
    about = {"profile": options.profile, "lane": answers[-1].lane, "steps": answers[-1].steps}
    save_json(options.json, about | {"count": options.count, "milliseconds": milliseconds})


def edits(client: Retouch, options: argparse.Namespace) -> list[EditInfo]:
    """The INFO of `count` edits, after one that is not counted."""
    photo = images.decode(SAMPLE.with_suffix(".jpg").read_bytes())
    sentence = SAMPLE.with_suffix(".txt").read_text().strip()
    answers = [
        client.edit_one(unseen(photo, number), sentence, steps=options.steps, seed=number)
        for number in range(options.count + 1)
    ]
    return [answer.info for answer in answers[1:]]


def stages(answers: list[EditInfo]) -> dict[str, float]:
    """The median milliseconds of every stage and of the whole."""
    return {
        name: statistics.median(answer.milliseconds[name] for answer in answers)
        for name in answers[0].milliseconds
    }


def show(milliseconds: dict[str, float], profile: str) -> None:
    table = Table("stage", "ms", "share", title=f"A whole edit, profile {profile or 'cpu'}")
    for name, spent in milliseconds.items():
        table.add_row(name, f"{spent:.1f}", f"{spent / milliseconds[TOTAL]:.0%}")
    Console().print(table)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.edit_stages", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--profile", default="gpu")
    parser.add_argument("--repository", type=Path, default=REPOSITORY)
    parser.add_argument("--steps", type=int, default=0, help="0: the checkpoint's default")
    parser.add_argument("--count", type=int, default=20, help="edits")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
