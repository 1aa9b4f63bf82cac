"""Prometheus metrics of feedback."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

OUTCOMES = ("stored", "repeated", "rejected", "unavailable")


class FeedbackMetrics:
    """The metrics, in the registry of the server that they belong to."""

    def __init__(self, registry: CollectorRegistry):
        self.recorded = Counter(
            "retouch_feedback_answers_recorded",
            "Answers that are in the store",
            registry=registry,
        )
        self.dropped = Counter(
            "retouch_feedback_answers_dropped",
            "Answers that were not recorded, and take no feedback",
            registry=registry,
        )
        self.spooled = Counter(
            "retouch_feedback_answers_spooled",
            "Answers that were written to the spool as the store failed",
            registry=registry,
        )
        self.waiting = Gauge(
            "retouch_feedback_answers_waiting",
            "Answers in memory that are not in the store yet",
            registry=registry,
        )
        self.store_up = Gauge(
            "retouch_feedback_store_up",
            "1 if the last use of the store has succeeded, else 0",
            registry=registry,
        )
        self.feedback = Counter(
            "retouch_feedback",
            "Feedback by what became of it",
            ("outcome",),
            registry=registry,
        )
        self.expired_images = Counter(
            "retouch_feedback_images_expired",
            "Kept images that were deleted after their time",
            registry=registry,
        )
        for outcome in OUTCOMES:  # so that a rate sees the first one
            self.feedback.labels(outcome)
