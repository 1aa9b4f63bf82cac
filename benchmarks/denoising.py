"""The denoiser's table: reference cache, regions and scheduling, each with and without.

    python -m benchmarks.denoising [--quick] [--only NAME …] [--json PATH]

Runs on the exported lane bf16. `memory` and `clients` start servers on loopback and stop them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import clients, held_out_edits, load, memory, reuse, session, steps
from benchmarks.packages import need
from benchmarks.table import Row, save, show
from retouch.launcher.server import REPOSITORY, ROOT, ServerError
from retouch.offline.plain_loop import PlainLoop

FOLDER = REPOSITORY / "denoiser_bf16" / "1"
CHECKPOINT = ROOT / "checkpoints" / "photo"


@dataclass(frozen=True)
class Effort:
    """Sample counts: turns of a step benchmark, judged scenes, runs and arrivals a run, sessions,
    images, and runs and seconds of eight clients."""

    turns: int = 15
    judged: int = 120
    runs: int = 7
    arrivals: int = 200
    sessions: int = 7
    images: int = 15
    floods: int = 5
    seconds: float = 10.0


QUICK = Effort(turns=5, judged=30, runs=5, arrivals=40, sessions=5, images=5, floods=1, seconds=5.0)

BENCHES: dict[str, Callable[[PlainLoop, Effort], list[Row]]] = {
    "reference": lambda loop, effort: steps.reference_rows(loop, FOLDER, effort.turns),
    "region": lambda loop, effort: steps.region_rows(loop, FOLDER, effort.turns, effort.judged),
    "reuse": lambda loop, effort: reuse.reuse_rows(loop, FOLDER, effort.turns, effort.judged),
    "clients": lambda loop, effort: clients.client_rows(
        held_out_edits.prepare(loop, held_out_edits.local, load.SCENES),
        CHECKPOINT,
        effort.floods,
        effort.seconds,
    ),
    "load": lambda loop, effort: load.load_rows(loop, FOLDER, effort.runs, effort.arrivals),
    "memory": lambda loop, effort: memory.memory_rows(
        held_out_edits.prepare(loop, held_out_edits.local, load.SCENES), effort.images
    ),
    "session": lambda loop, effort: session.session_rows(REPOSITORY, loop, effort.sessions),
}


def main() -> None:
    options = parse()
    if "clients" in options.only:
        need("litserve")
    try:
        measure(options.only, QUICK if options.quick else Effort(), options.json)
    except ServerError as failure:
        sys.exit(f"error: {failure}")


def measure(names: Sequence[str], effort: Effort, path: Path | None) -> None:
    """Show and save rows as they come, so that a failure keeps the rows before it."""
    loop = PlainLoop(REPOSITORY)
    rows = []
    for name in names:
        new_rows = BENCHES[name](loop, effort)
        show(f"The denoiser: {name}", new_rows)
        rows += new_rows
        save(rows, path)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.denoising", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help="fewer samples: under three minutes")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=BENCHES,
        default=list(BENCHES),
        metavar="NAME",
        help=f"of {', '.join(BENCHES)}",
    )
    parser.add_argument("--json", type=Path, help="write all figures here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
