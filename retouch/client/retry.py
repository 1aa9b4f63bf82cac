"""When an edit that the server could not take is sent again, and how long it may take in all."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from retouch.api.errors import RequestError
from retouch.client.errors import too_late

SHORT = 10.0  # seconds for anything but an edit


@dataclass(frozen=True)
class Retries:
    """At most `attempts` in all, after UNAVAILABLE alone, and never after an answer has come.

    Pauses are `first` seconds, then twice as long each time, `longest` at most, each shortened at
    random by up to a half (so that clients that were refused together do not come again together),
    but not shorter than what the server asks for."""

    attempts: int = 4
    first: float = 0.2
    longest: float = 10.0

    def pause(self, failure: RequestError, tried: int) -> float | None:
        """Seconds before the next attempt when `tried` have failed, the last with `failure`; None:
        no more."""
        if failure.code != "UNAVAILABLE" or tried >= self.attempts:
            return None
        pause = min(self.first * 2 ** (tried - 1), self.longest) * random.uniform(0.5, 1.0)
        return max(pause, failure.retry_after or 0.0)


class Patience:
    """What is left of `seconds`, which all attempts of an edit share; None is without end."""

    def __init__(self, seconds: float | None):
        self._seconds = seconds
        self._begin = time.monotonic()

    def left(self) -> float | None:
        """Seconds; RequestError with DEADLINE_EXCEEDED when there are none."""
        if self._seconds is None:
            return None
        left = self._begin + self._seconds - time.monotonic()
        if left <= 0:
            raise self.over()
        return left

    def outlasts(self, pause: float) -> bool:
        """Whether there is more than this left."""
        return self._seconds is None or self._begin + self._seconds - time.monotonic() > pause

    def over(self) -> RequestError:
        return too_late(self._seconds or 0.0)


class Attempts:
    """Of one edit: how often it was tried, whether an answer has come, and the patience that is
    left."""

    def __init__(self, retries: Retries, seconds: float | None):
        self.patience = Patience(seconds)
        self._retries = retries
        self._tried = 0
        self.answered = False

    def pause_after(self, failure: RequestError) -> float:
        """Seconds before the next; raises `failure` when there is to be none."""
        self._tried += 1
        pause = None if self.answered else self._retries.pause(failure, self._tried)
        if pause is None or not self.patience.outlasts(pause):
            raise failure
        return pause
