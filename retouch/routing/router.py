"""Which lane serves an edit, and why: by what is loaded, what the request asks, its deadline and
the lanes' boards.

A lane is chosen before the parser has said how large the region is, and steps on small regions are
quicker than on the whole image: what a step takes is what it took of late over the regions that
came. Edits that are still with the parser are on no board, and lanes on one processor slow each
other down, of which their boards know only afterwards. So these are estimates; what an edit asks
for by a lane's name is never weighed. A lane with an adapter is another network: it serves those
that name it, and no wish takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from retouch.api.errors import RequestError
from retouch.api.lanes import LANES, is_adapted
from retouch.routing.load_board import LoadReport

# what a wish takes, the first that is loaded, as long as nothing is known of the lanes
PREFERENCE = {
    "auto": ("bf16", "fp8", "fp4"),
    "best": ("bf16", "fp8", "fp4"),
    "balanced": ("fp8", "bf16", "fp4"),
    "draft": ("fp4", "fp8", "bf16"),
}

# `auto` leaves a wider lane when waiting there takes longer than PATIENCE times a narrower lane's
# whole work, and longer than a person would notice: equal requests should not change lanes for
# trifles
PATIENCE = 1.0
TRIFLE_MS = 250.0


def adapted(repository: Path) -> list[str]:
    """The lanes with an adapter that are exported into a model repository, by name."""
    manifests = repository.glob("denoiser_*-*/1/manifest.json")
    return sorted(
        filter(is_adapted, (path.parts[-3].removeprefix("denoiser_") for path in manifests))
    )


@dataclass(frozen=True)
class Choice:
    """A lane, and one sentence for people about it."""

    lane: str
    why: str


@dataclass(frozen=True)
class Expected:
    """Milliseconds that the edits before it (`edits` of them) hold an edit up, and until it is
    denoised."""

    lane: str
    edits: int
    wait: float
    finish: float


def choose(
    wish: str,
    loaded: tuple[str, ...],
    steps: int = 0,
    deadline_ms: float = 0.0,
    rest_ms: float = 0.0,
    loads: Mapping[str, LoadReport | None] | None = None,
) -> Choice:
    """The lane for an edit of `steps` (0: the lane's default) that has `deadline_ms` (0: for ever),
    of which the other stages need `rest_ms`; RequestError that names the loaded lanes when `wish`
    is none of them, or when no lane is in time.

    A lane's name is that lane. `best` is the widest that is loaded. `balanced` is FP8, or the wider
    lane where that is sooner. `draft` is the lane that is expected to finish first. `auto` is the
    widest that is expected to meet the deadline, and where none does the edit is refused with the
    estimate; without a deadline it is the widest that makes nobody wait much longer than a narrower
    one would. A lane that has not taken a step yet is thought as quick as the widest that has; as
    long as none has, or nothing is known of the first choice, PREFERENCE holds."""
    lanes = tuple(lane for lane in PREFERENCE.get(wish, (wish,)) if lane in loaded)
    if not lanes:
        raise RequestError(
            f"PRECISION {wish} is not loaded on this server; loaded are {', '.join(loaded) or 'none'}",
            field="PRECISION",
        )
    first = lanes[0]
    if len(lanes) == 1:
        return Choice(first, "the only lane loaded" if wish in PREFERENCE else "asked for by name")
    if wish == "best":
        return Choice(first, "best: the widest lane loaded")
    expected = expect(lanes, steps, loads or {})
    if first not in expected:
        return Choice(first, f"{wish}: {first} comes first, and its speed is not known yet")
    weighed = list(expected.values())
    if wish == "balanced":
        return _balanced(expected[first], weighed)
    if wish == "draft":
        return _draft(weighed)
    return _in_time(weighed, deadline_ms, rest_ms) if deadline_ms else _patient(weighed)


def expect(
    lanes: tuple[str, ...], steps: int, loads: Mapping[str, LoadReport | None]
) -> dict[str, Expected]:
    """By lane, the widest first; without those of which nothing is known."""
    known = {lane: load for lane in LANES if lane in lanes and (load := loads.get(lane))}
    measured = [load.step_seconds for load in known.values() if load.step_seconds]
    return {
        lane: _expected(lane, load, load.step_seconds or measured[0], steps or load.default_steps)
        for lane, load in known.items()
        if measured
    }


def _expected(lane: str, load: LoadReport, seconds: float, steps: int) -> Expected:
    """Running edits take turns, so none takes more than `steps` steps before an edit of `steps` is
    done. A step that has been going on for too long is thought to go on as long again."""
    before = min(load.steps, load.edits * steps) * seconds + max(0.0, load.silent - seconds)
    return Expected(lane, load.edits, before * 1000, (before + steps * seconds) * 1000)


# -- the wishes, over what is expected of each lane, the widest first ------------------------------


def _balanced(first: Expected, lanes: list[Expected]) -> Choice:
    for lane in lanes[: lanes.index(first)]:
        if lane.finish < first.finish:
            return Choice(
                lane.lane,
                f"balanced: {lane.lane} is wider than {first.lane} and finishes sooner, "
                f"{_ms(lane.finish)} against {_ms(first.finish)}",
            )
    return Choice(
        first.lane, f"balanced: {first.lane} comes first, and no wider lane finishes sooner"
    )


def _draft(lanes: list[Expected]) -> Choice:
    soonest = min(reversed(lanes), key=lambda lane: lane.finish)  # the narrowest of equals
    return Choice(soonest.lane, f"draft: {soonest.lane} finishes first, in {_ms(soonest.finish)}")


def _in_time(lanes: list[Expected], deadline_ms: float, rest_ms: float) -> Choice:
    for lane in lanes:
        if rest_ms + lane.finish <= deadline_ms:
            return Choice(
                lane.lane,
                f"auto: {lane.lane} is the widest lane that meets the deadline, "
                f"denoising in {_ms(lane.finish)}",
            )
    soonest = min(lanes, key=lambda lane: lane.finish)
    raise RequestError(
        f"DEADLINE_MS {deadline_ms:g} cannot be met: {soonest.lane}, which is the first to finish, needs "
        f"{_ms(rest_ms + soonest.finish)}; allow more time, ask for fewer steps or try again later",
        "DEADLINE_EXCEEDED",
        field="DEADLINE_MS",
    )


def _patient(lanes: list[Expected]) -> Choice:
    widest = lanes[0]
    lane = next(
        lane
        for i, lane in enumerate(lanes)
        if not any(_is_too_long(lane, other) for other in lanes[i + 1 :])
    )
    if lane is widest:
        return Choice(
            lane.lane, f"auto: {lane.lane} is the widest lane loaded, and its line is short"
        )
    edits = f"{widest.edits} edit{'s' * (widest.edits != 1)}"
    return Choice(
        lane.lane,
        f"auto: {widest.lane} has {edits} before it ({_ms(widest.wait)}); "
        f"{lane.lane} finishes in {_ms(lane.finish)}",
    )


def _is_too_long(wide: Expected, narrow: Expected) -> bool:
    return wide.wait > max(TRIFLE_MS, PATIENCE * narrow.finish)


def _ms(milliseconds: float) -> str:
    return f"about {milliseconds:.0f} ms"
