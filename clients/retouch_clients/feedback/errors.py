"""Why feedback is not taken. `str()` is a sentence for people."""

from __future__ import annotations


class FeedbackError(Exception):
    """Feedback that is not stored."""


class UnknownAnswer(FeedbackError):
    """No answer has this request id and number."""


class ForeignAnswer(FeedbackError):
    """Another API key has made the answer."""


class OtherFeedback(FeedbackError):
    """Other feedback has this idempotency key."""


class TooMuchFeedback(FeedbackError):
    """The answer has as much feedback as one may have."""


class StoreUnavailable(FeedbackError):
    """The store cannot be reached, or cannot write. The same feedback may be stored later."""
