"""What the policy of answers may do: `quality.toml`, by a table of its keys."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retouch.api.lanes import LANES
from retouch.quality.schema import Key, SettingError, Table, read_table

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

MAX_TRIES = 16  # edits for one answer
MAX_SECONDS = 3600.0
LARGEST_FILE = 1 << 20  # bytes


@dataclass(frozen=True)
class Evaluator:
    """`seconds` that a score may take; a later one is not waited for."""

    seconds: float


@dataclass(frozen=True)
class Limits:
    """Bounds of everything that is done for one answer: `tries` edits in all, begun in `seconds`.
    At a load of `load` or more no answer has a second try."""

    tries: int
    seconds: float
    load: float


@dataclass(frozen=True)
class Bound:
    """Bounds of one step: its `tries`, and the `seconds` that they may take together."""

    tries: int
    seconds: float


@dataclass(frozen=True)
class Degrade:
    """What becomes of an edit that begins under load; 1 is a server at capacity.

    From `fewer_steps_from` on it has `steps_share` of its steps, `least_steps` or more. From
    `narrower_lane_from` on it has the next narrower lane, down to `narrowest_lane`. From
    `preview_from` on it is a preview of one step, where `preview` allows it."""

    enabled: bool
    fewer_steps_from: float
    steps_share: float
    least_steps: int
    narrower_lane_from: float
    narrowest_lane: str
    preview: bool
    preview_from: float


@dataclass(frozen=True)
class Review:
    """What people are shown: answers on `hold`, a random `audit_share` of the accepted and
    `refused_share` of the refused."""

    hold: bool
    audit_share: float
    refused_share: float


@dataclass(frozen=True)
class Refuse:
    """Whether an answer that stays below `reject_below` is refused."""

    enabled: bool


@dataclass(frozen=True)
class Explore:
    """The `share` of decisions that take the other of two possible steps, at random."""

    share: float


@dataclass(frozen=True)
class Policy:
    """The settings of `quality.toml`. `best_of` counts the first edit too, the tries of `retry` and
    `widen` do not."""

    enabled: bool
    evaluator: Evaluator
    limits: Limits
    best_of: Bound
    retry: Bound
    widen: Bound
    degrade: Degrade
    review: Review
    refuse: Refuse
    explore: Explore


SECONDS = Key(float, 30.0, low=0, high=MAX_SECONDS)
SHARE = Key(float, 0.0, low=0, high=0.5)
LOAD = Key(float, 1.0, low=0, high=100)
TOP = {"enabled": Key(bool, False)}
SECTIONS: dict[str, tuple[type, Table]] = {
    "evaluator": (Evaluator, {"seconds": Key(float, 2.0, low=0.01, high=60)}),
    "limits": (
        Limits,
        {
            "tries": Key(int, 4, low=1, high=MAX_TRIES),
            "seconds": Key(float, 60.0, low=0, high=MAX_SECONDS),
            "load": Key(float, 0.8, low=0, high=100),
        },
    ),
    "best_of": (Bound, {"tries": Key(int, 1, low=1, high=MAX_TRIES), "seconds": SECONDS}),
    "retry": (Bound, {"tries": Key(int, 1, low=0, high=MAX_TRIES), "seconds": SECONDS}),
    "widen": (Bound, {"tries": Key(int, 2, low=0, high=len(LANES) - 1), "seconds": SECONDS}),
    "degrade": (
        Degrade,
        {
            "enabled": Key(bool, False),
            "fewer_steps_from": Key(float, 0.8, low=0, high=100),
            "steps_share": Key(float, 0.5, low=0.1, high=1),
            "least_steps": Key(int, 2, low=1, high=1000),
            "narrower_lane_from": LOAD,
            "narrowest_lane": Key(str, LANES[-1], choices=LANES),
            "preview": Key(bool, False),
            "preview_from": Key(float, 2.0, low=0, high=100),
        },
    ),
    "review": (
        Review,
        {
            "hold": Key(bool, True),
            "audit_share": Key(float, 0.02, low=0, high=0.5),
            "refused_share": Key(float, 0.1, low=0, high=1),
        },
    ),
    "refuse": (Refuse, {"enabled": Key(bool, False)}),
    "explore": (Explore, {"share": SHARE}),
}
FILE = TOP | {name: Key(dict, {}) for name in SECTIONS}


def read_policy(path: Path) -> Policy:
    """The policy of a file; SettingError, whose sentence names the key and what is allowed."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
        text = data.decode("utf-8")
    except OSError as failure:
        reason = failure.strerror or type(failure).__name__
        raise SettingError("NOT_READABLE", "", f"the policy cannot be read: {reason}") from None
    except UnicodeDecodeError:
        raise SettingError("NOT_READABLE", "", "the policy is no UTF-8 text") from None
    if len(data) > LARGEST_FILE:
        raise SettingError("NOT_READABLE", "", f"the policy is larger than {LARGEST_FILE} bytes")
    return parse_policy(text)


def parse_policy(text: str = "") -> Policy:
    """The same of the file's text; without any, the policy that is off."""
    try:
        record: dict[str, Any] = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as failure:
        raise SettingError("NOT_READABLE", "", f"the policy is no TOML: {failure}") from None
    values = read_table(FILE, record)
    sections = {
        name: kind(**read_table(table, values[name], name))
        for name, (kind, table) in SECTIONS.items()
    }
    policy = Policy(values["enabled"], **sections)
    if policy.best_of.tries > policy.limits.tries:
        raise SettingError(
            "OUT_OF_RANGE",
            "best_of.tries",
            f"best_of.tries is {policy.best_of.tries}; "
            f"it must be {policy.limits.tries} (limits.tries) or less",
        )
    return policy
