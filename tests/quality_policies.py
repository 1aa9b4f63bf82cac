"""Policies, thresholds and a clock for the tests of quality."""

from __future__ import annotations

from hypothesis import strategies as st

from retouch.api.response import Scores
from retouch.quality.policy.settings import (
    Bound,
    Degrade,
    Explore,
    Limits,
    Policy,
    Refuse,
    Review,
    parse_policy,
)
from retouch.quality.thresholds.thresholds import (
    ANY,
    ClassThresholds,
    FalseAlarms,
    Recall,
    Thresholds,
)

EVALUATOR = "2026.11"
REJECT_BELOW = 0.3
ACCEPT_FROM = 0.6
THRESHOLDS = Thresholds(
    EVALUATOR,
    "2026-11-30",
    "ab" * 32,
    (ClassThresholds(ANY, ANY, REJECT_BELOW, ACCEPT_FROM, Recall(210, 206), FalseAlarms(530, 3)),),
)
# no chance, so that a test sees one decision alone
CERTAIN = "[review]\naudit_share = 0\nrefused_share = 0\n"


def policy(text=CERTAIN, enabled=True):
    return parse_policy(f"enabled = {str(enabled).lower()}\n{text}")


def score(value):
    return Scores(value, value, value, value, EVALUATOR)


class Clock:
    """Seconds that pass only where a test lets them."""

    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds

    def wait(self, seconds):
        self.seconds += seconds


SECONDS = st.sampled_from((0.0, 1.0, 3.5, 20.0))
LOADS = st.sampled_from((0.0, 0.4, 0.8, 1.3, 2.0))
SHARES = st.sampled_from((0.0, 0.02, 0.3, 0.5))


def policies():
    """Any policy that is on."""
    settings = parse_policy()
    return st.builds(
        Policy,
        st.just(True),
        st.just(settings.evaluator),
        st.builds(Limits, st.integers(1, 8), SECONDS, LOADS),
        st.builds(Bound, st.integers(1, 4), SECONDS),
        st.builds(Bound, st.integers(0, 3), SECONDS),
        st.builds(Bound, st.integers(0, 2), SECONDS),
        st.sampled_from((settings.degrade, DEGRADES)),
        st.builds(Review, st.booleans(), SHARES, SHARES),
        st.builds(Refuse, st.booleans()),
        st.builds(Explore, SHARES),
    )


DEGRADES = Degrade(True, 0.4, 0.5, 2, 0.8, "fp4", True, 1.3)
