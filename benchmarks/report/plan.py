"""Sample counts of the report: in full, for `--quick`, and for `--tiny`, which tries it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """Every load runs `repetitions` times. `clients` and `streams` are concurrent edits through the
    unary endpoints and through the stream, `count` edits each. `shares` are Poisson rates relative
    to the measured capacity, `arrivals` edits each; `flood` is the share above it, `flooded` edits.
    `starts` is the number of server starts, `turns` of edits through server and plain loop in a
    repetition, `scenes` of judged pictures. `others` are AIPerf's concurrent edits, and `rated`
    adds a run at a rate."""

    repetitions: int = 3
    clients: tuple[int, ...] = (1, 2, 4, 8, 16)
    streams: tuple[int, ...] = (1, 2, 4)
    count: int = 100
    shares: tuple[float, ...] = (0.5, 0.7, 0.9)
    arrivals: int = 160
    flood: float = 2.0
    flooded: int = 240
    starts: int = 3
    turns: int = 30
    scenes: int = 48
    others: tuple[int, ...] = (1, 4)
    rated: bool = True


FULL = Effort()
QUICK = Effort(
    repetitions=1,
    clients=(1, 4),
    streams=(1,),
    count=24,
    shares=(0.7,),
    arrivals=32,
    flooded=80,
    starts=1,
    turns=8,
    scenes=12,
    others=(1,),
    rated=False,
)
TINY = Effort(
    repetitions=1,
    clients=(1, 2),
    streams=(1,),
    count=6,
    shares=(0.7,),
    arrivals=8,
    flooded=24,
    starts=1,
    turns=2,
    scenes=2,
    others=(),
    rated=False,
)
