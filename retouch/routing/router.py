"""The choice of a lane, by the loaded lanes, the request's PRECISION, its deadline and the lanes'
load reports.

PRECISION is the name of a lane, or a policy: auto, draft, balanced or best. The times are
estimates. A lane is chosen before the parser knows the size of the region, so a step counts as the
lane's median over recent edits. Edits that are still in the parser are in no load report, and lanes
on one processor slow each other down. A lane with an adapter is another network: it serves requests
that name it, and no policy chooses it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from retouch.api.errors import RequestError
from retouch.api.lanes import LANES, is_adapted
from retouch.routing.load_board import LoadReport

# the lanes of a policy; without load reports it takes the first that is loaded
PREFERENCE = {
    "auto": ("bf16", "fp8", "fp4"),
    "best": ("bf16", "fp8", "fp4"),
    "balanced": ("fp8", "bf16", "fp4"),
    "draft": ("fp4", "fp8", "bf16"),
}

# `auto` leaves a wider lane when the wait there exceeds both PATIENCE times a narrower lane's whole
# time and TRIFLE_MS, which a person would not notice: equal requests keep their lane
PATIENCE = 1.0
TRIFLE_MS = 250.0


@dataclass(frozen=True)
class Choice:
    """A lane, and the reason in one sentence for people."""

    lane: str
    reason: str


@dataclass(frozen=True)
class Estimate:
    """What an edit can expect of a lane: `edits` before it, `wait_ms` until its first step,
    `finish_ms` until it is denoised."""

    lane: str
    edits: int
    wait_ms: float
    finish_ms: float


def adapted(repository: Path) -> list[str]:
    """The names of the lanes with an adapter that are exported into a model repository."""
    manifests = repository.glob("denoiser_*-*/1/manifest.json")
    lanes = (path.parts[-3].removeprefix("denoiser_") for path in manifests)
    return sorted(filter(is_adapted, lanes))


def choose(
    precision: str,
    loaded: tuple[str, ...],
    steps: int = 0,
    deadline_ms: float = 0.0,
    other_stages_ms: float = 0.0,
    reports: Mapping[str, LoadReport | None] | None = None,
) -> Choice:
    """The lane for an edit of `steps` (0: the lane's default), due in `deadline_ms` (0: no
    deadline), of which the other stages need `other_stages_ms`. RequestError when no loaded lane
    fits `precision`, or when none meets the deadline.

    - A lane's name takes that lane.
    - `best` takes the widest loaded lane.
    - `balanced` takes FP8, or a wider lane that finishes sooner.
    - `draft` takes the lane that finishes first.
    - `auto` takes the widest lane that meets the deadline. Without a deadline it takes the widest
      lane whose wait is not much longer than a narrower lane's whole time.

    A lane without timings is assumed as fast as the widest measured lane. PREFERENCE decides while
    no lane has timings, or while the first choice has no report."""
    lanes = tuple(lane for lane in PREFERENCE.get(precision, (precision,)) if lane in loaded)
    if not lanes:
        raise RequestError(
            f"PRECISION {precision} is not loaded on this server; "
            f"loaded are {', '.join(loaded) or 'none'}",
            field="PRECISION",
        )
    first = lanes[0]
    if len(lanes) == 1:
        is_policy = precision in PREFERENCE
        return Choice(first, "the only lane loaded" if is_policy else "asked for by name")
    if precision == "best":
        return Choice(first, "best: the widest lane loaded")
    estimates = estimate(lanes, steps, reports or {})
    if first not in estimates:
        return Choice(first, f"{precision}: {first} comes first, and its speed is not known yet")
    widest_first = list(estimates.values())
    if precision == "balanced":
        return _balanced(estimates[first], widest_first)
    if precision == "draft":
        return _draft(widest_first)
    if deadline_ms:
        return _auto_with_deadline(widest_first, deadline_ms, other_stages_ms)
    return _auto(widest_first)


def estimate(
    lanes: tuple[str, ...], steps: int, reports: Mapping[str, LoadReport | None]
) -> dict[str, Estimate]:
    """Estimates by lane, the widest first, of lanes with a report; empty while none has timings."""
    known = {lane: report for lane in LANES if lane in lanes and (report := reports.get(lane))}
    measured = [report.step_seconds for report in known.values() if report.step_seconds]
    return {
        lane: _estimate(lane, report, report.step_seconds or measured[0], steps)
        for lane, report in known.items()
        if measured
    }


def _estimate(lane: str, report: LoadReport, step_seconds: float, steps: int) -> Estimate:
    """Running edits take turns, so an edit of `steps` waits for at most `steps` steps of every
    other. A step that is overdue is assumed to last as long again."""
    steps = steps or report.default_steps
    steps_before = min(report.steps, report.edits * steps)
    overdue = max(0.0, report.silent - step_seconds)
    wait = steps_before * step_seconds + overdue
    return Estimate(lane, report.edits, wait * 1000, (wait + steps * step_seconds) * 1000)


# -- the policies, over the estimates of the lanes, the widest first -------------------------------


def _balanced(first: Estimate, lanes: list[Estimate]) -> Choice:
    for wider in lanes[: lanes.index(first)]:
        if wider.finish_ms < first.finish_ms:
            return Choice(
                wider.lane,
                f"balanced: {wider.lane} is wider than {first.lane} and finishes sooner, "
                f"{_ms(wider.finish_ms)} against {_ms(first.finish_ms)}",
            )
    return Choice(
        first.lane, f"balanced: {first.lane} comes first, and no wider lane finishes sooner"
    )


def _draft(lanes: list[Estimate]) -> Choice:
    soonest = min(reversed(lanes), key=lambda lane: lane.finish_ms)  # the narrowest of equals
    return Choice(
        soonest.lane, f"draft: {soonest.lane} finishes first, in {_ms(soonest.finish_ms)}"
    )


def _auto_with_deadline(
    lanes: list[Estimate], deadline_ms: float, other_stages_ms: float
) -> Choice:
    for lane in lanes:
        if other_stages_ms + lane.finish_ms <= deadline_ms:
            return Choice(
                lane.lane,
                f"auto: {lane.lane} is the widest lane that meets the deadline, "
                f"denoising in {_ms(lane.finish_ms)}",
            )
    soonest = min(lanes, key=lambda lane: lane.finish_ms)
    raise RequestError(
        f"DEADLINE_MS {deadline_ms:g} cannot be met: {soonest.lane}, which is the first to finish, "
        f"needs {_ms(other_stages_ms + soonest.finish_ms)}; "
        "allow more time, ask for fewer steps or try again later",
        "DEADLINE_EXCEEDED",
        field="DEADLINE_MS",
    )


def _auto(lanes: list[Estimate]) -> Choice:
    widest = lanes[0]
    chosen = next(
        lane
        for i, lane in enumerate(lanes)
        if not any(_waits_too_long(lane, narrower) for narrower in lanes[i + 1 :])
    )
    if chosen is widest:
        return Choice(
            chosen.lane, f"auto: {chosen.lane} is the widest lane loaded, and its line is short"
        )
    edits = f"{widest.edits} edit{'s' * (widest.edits != 1)}"
    return Choice(
        chosen.lane,
        f"auto: {widest.lane} has {edits} before it ({_ms(widest.wait_ms)}); "
        f"{chosen.lane} finishes in {_ms(chosen.finish_ms)}",
    )


def _waits_too_long(wide: Estimate, narrow: Estimate) -> bool:
    return wide.wait_ms > max(TRIFLE_MS, PATIENCE * narrow.finish_ms)


def _ms(milliseconds: float) -> str:
    return f"about {milliseconds:.0f} ms"
